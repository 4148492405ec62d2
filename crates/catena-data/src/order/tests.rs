use super::*;

fn ids(order: &dyn Order, len: u64, start: Start) -> Vec<u64> {
    let epoch = order.epoch(len, start).unwrap();
    (0..epoch.samples()).map(|position| epoch.at(position).0).collect()
}

#[test]
fn each_sample_comes_once_an_epoch() {
    let sizes =
        [1, 2, 3, 31, 32, 33, 1000, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, (1 << 17) - 1, (1 << 18) + 1];
    for len in sizes {
        let ones = vec![1; len as usize];
        let orders: [Box<dyn Order>; 6] = [
            Box::new(Sequential),
            Box::new(Random),
            Box::new(Subset::new((0..len).collect::<Vec<_>>()).shuffle(true)),
            Box::new(Weighted::new(vec![1.0; len as usize], len).replacement(false)),
            Box::new(ByLength::new(ones.clone(), 7)),
            Box::new(Balanced::new(ones)),
        ];
        for order in orders {
            let mut ids = ids(&*order, len, Start { seed: 3, epoch: 2, ..Start::default() });
            ids.sort_unstable();
            assert!(ids.into_iter().eq(0..len), "{order:?}");
        }
    }
}

#[test]
fn a_small_random_order_is_the_one_of_tensor_loaders() {
    let start = Start { seed: 4, stage: 1, epoch: 3, ..Start::default() };
    assert_eq!(ids(&Random, 1000, start), catena_tensor::data::order::shuffled(1000, start));
}

#[test]
fn weights_decide_how_often_a_sample_comes() {
    let counts = |order: Weighted| {
        let mut counts = [0; 4];
        ids(&order, 4, Start::default()).into_iter().for_each(|id| counts[id as usize] += 1);
        counts
    };
    let counted = counts(Weighted::new([0.0, 1.0, 2.0, 5.0], 80_000));
    assert_eq!(counted[0], 0);
    for (count, expected) in counted[1..].iter().zip([10_000.0, 20_000.0, 50_000.0]) {
        let expected: f64 = expected;
        assert!((f64::from(*count) - expected).abs() < 5.0 * expected.sqrt(), "{counted:?}");
    }
    for wrong in [[f64::NAN, 1.0], [-1.0, 1.0], [0.0, 0.0], [f64::INFINITY, 1.0], [f64::MAX, f64::MAX]] {
        assert!(Weighted::new(wrong, 2).check(2).is_err());
    }
    assert!(Weighted::new([1.0, 0.0], 2).replacement(false).check(2).is_err());
}

#[test]
fn mini_epochs_are_an_endless_row_cut_elsewhere() {
    let row: Vec<u64> =
        (1..7).flat_map(|epoch| ids(&Random, 10, Start { seed: 1, epoch, ..Start::default() })).collect();
    let order = MiniEpochs::new(7, Random);
    let cut: Vec<u64> =
        (1..9).flat_map(|epoch| ids(&order, 10, Start { seed: 1, epoch, ..Start::default() })).collect();
    assert_eq!(cut, row[..56]);
}
