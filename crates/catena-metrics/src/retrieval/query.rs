//! How good the ranking of one query is.
use crate::classification::curve::Curve;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Score {
    AveragePrecision,
    ReciprocalRank,
    HitRate,
    Ndcg,
    Precision {
        /// Whether `top_k` is at most the number of a query's documents.
        adaptive_k: bool,
    },
    Recall,
    FallOut,
    RPrecision,
    Auroc {
        max_fpr: Option<f64>,
    },
}

impl Score {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Score::AveragePrecision => "retrieval_average_precision",
            Score::ReciprocalRank => "retrieval_reciprocal_rank",
            Score::HitRate => "retrieval_hit_rate",
            Score::Ndcg => "retrieval_normalized_dcg",
            Score::Precision { .. } => "retrieval_precision",
            Score::Recall => "retrieval_recall",
            Score::FallOut => "retrieval_fall_out",
            Score::RPrecision => "retrieval_r_precision",
            Score::Auroc { .. } => "retrieval_auroc",
        }
    }

    /// The score of a query's documents (score, gain), among the first `top_k`.
    pub(crate) fn of(self, query: &[(f64, f64)], top_k: Option<usize>) -> f64 {
        let mut sorted = query.to_vec();
        // stable: equal scores stay in their order
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let n = sorted.len();
        let k = top_k.unwrap_or(n);
        let relevant: Vec<bool> = sorted.iter().map(|(_, gain)| *gain > 0.0).collect();
        let first = &relevant[..k.min(n)];
        let hits = |among: &[bool]| among.iter().filter(|hit| **hit).count() as f64;
        let all = hits(&relevant);
        match self {
            Score::AveragePrecision => {
                let places = first.iter().enumerate().filter(|(_, hit)| **hit).map(|(i, _)| i as f64 + 1.0);
                let precisions: Vec<f64> =
                    places.enumerate().map(|(i, place)| (i as f64 + 1.0) / place).collect();
                precisions.iter().sum::<f64>() / (precisions.len().max(1)) as f64
            }
            Score::ReciprocalRank => {
                first.iter().position(|hit| *hit).map_or(0.0, |place| 1.0 / (place as f64 + 1.0))
            }
            Score::HitRate => f64::from(hits(first) > 0.0),
            Score::Ndcg => ndcg(&sorted, k),
            Score::Precision { adaptive_k } => hits(first) / (if adaptive_k { k.min(n) } else { k }) as f64,
            Score::Recall => hits(first) / all,
            Score::FallOut if all == n as f64 => 0.0,
            Score::FallOut => (first.len() as f64 - hits(first)) / (n as f64 - all),
            Score::RPrecision => hits(&relevant[..all as usize]) / all,
            Score::Auroc { max_fpr } => {
                let items = sorted.iter().zip(first).map(|((score, _), hit)| (*score, *hit, 1.0)).collect();
                Curve::exact(items).roc_area(true, max_fpr)
            }
        }
    }
}

/// Documents of equal score share the mean of their gains.
fn ndcg(sorted: &[(f64, f64)], k: usize) -> f64 {
    let discount = |place: usize| if place < k { 1.0 / (place as f64 + 2.0).log2() } else { 0.0 };
    let (mut gained, mut place) = (0.0, 0);
    for ties in sorted.chunk_by(|a, b| a.0 == b.0) {
        let gain = ties.iter().map(|(_, gain)| gain).sum::<f64>() / ties.len() as f64;
        gained += gain * (place..place + ties.len()).map(discount).sum::<f64>();
        place += ties.len();
    }
    let mut best: Vec<f64> = sorted.iter().map(|(_, gain)| *gain).collect();
    best.sort_by(|a, b| b.total_cmp(a));
    let best: f64 = best.iter().enumerate().map(|(place, gain)| gain * discount(place)).sum();
    if best == 0.0 { 0.0 } else { gained / best }
}
