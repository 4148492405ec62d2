use rand_chacha::rand_core::Rng;

use super::*;
use crate::order::{Balanced, ByLength, MiniEpochs, Subset, Weighted};
use crate::{Collate, Draws, Sample, from_fn};
use catena_tensor::data::{SampleError, check_loader};

fn augmented(n: u64) -> impl Dataset {
    from_fn(n, |index, draws: &mut Draws| {
        let noise = draws.of("noise").next_u32() as f32;
        Ok(Sample::new().with("input", vec![index as f32, noise, 0.5]).with("target", index as i64))
    })
}

type Given = (Vec<u64>, Vec<u32>, Vec<(String, Vec<i64>, Vec<f64>)>, f64);

fn given(batch: Batch) -> Given {
    let tensors = batch.tensors.iter().map(|(name, tensor)| {
        let numbers = tensor.to_kind(tch::Kind::Double).contiguous().view(-1);
        (name.to_owned(), tensor.size(), Vec::<f64>::try_from(numbers).unwrap())
    });
    (batch.ids.clone(), batch.occurrences.clone(), tensors.collect(), batch.weight)
}

fn all(loader: &mut DataLoader, start: Start) -> Vec<Given> {
    loader.start(start).unwrap();
    std::iter::from_fn(|| loader.next_batch().unwrap()).map(given).collect()
}

fn loaders() -> Vec<Box<dyn Fn() -> DataLoader>> {
    let lengths: Vec<u32> = (0..23).map(|i| 1 + i * 7 % 5).collect();
    vec![
        Box::new(|| DataLoader::new(augmented(23), 4)),
        Box::new(|| DataLoader::new(augmented(23), 4).shuffle(true).drop_last(true)),
        Box::new(|| DataLoader::new(augmented(23), 4).order(Subset::new([3, 3, 9, 22, 1]).shuffle(true))),
        Box::new(|| DataLoader::new(augmented(23), 4).order(Weighted::new([1.0; 23], 30))),
        Box::new(|| DataLoader::new(augmented(23), 4).order(Weighted::new([1.0; 23], 10).replacement(false))),
        Box::new(|| {
            let labels: Vec<u32> = (0..23).map(|i| u32::from(i % 7 == 0)).collect();
            DataLoader::new(augmented(23), 4).order(Balanced::new(labels))
        }),
        Box::new(|| DataLoader::new(augmented(23), 4).order(MiniEpochs::new(10, Random))),
        Box::new(move || {
            let by_length = ByLength::new(lengths.clone(), 12).window(9);
            let words = from_fn(23, |i, draws: &mut Draws| {
                let length = 1 + i as usize * 7 % 5;
                Ok(Sample::new().with("input", vec![draws.of("x").next_u32() as i64; length]))
            });
            DataLoader::new(words, 4).order(by_length).collate(Collate::pad([("input", -1.0)]).count("input"))
        }),
        Box::new(|| DataLoader::new(augmented(5), 3).collate(Collate::list())),
        Box::new(|| {
            let bad = from_fn(23, |i, _: &mut Draws| {
                if i % 5 == 2 { Err("bad".into()) } else { Ok(Sample::new().with("input", i as i64)) }
            });
            DataLoader::new(bad, 4).shuffle(true).on_error(OnError::Skip { at_most: 10 })
        }),
    ]
}

#[test]
fn batches_are_the_same_for_any_number_of_workers_and_from_any_start() {
    for (number, make) in loaders().iter().enumerate() {
        for epoch in 1..3 {
            let start = Start { seed: 5, epoch, ..Start::default() };
            let whole = all(&mut make(), start);
            assert!(!whole.is_empty());
            for workers in [0, 1, 2, 5] {
                let mut loader = make().workers(workers).prefetch(3);
                for batch in 0..=whole.len() as u64 {
                    let rest = all(&mut loader, Start { batch, ..start });
                    assert_eq!(
                        rest,
                        whole[batch as usize..],
                        "loader {number}, {workers} workers, from {batch}"
                    );
                }
            }
        }
        assert_ne!(
            all(&mut make(), Start { epoch: 1, ..Start::default() }),
            all(&mut make(), Start { epoch: 1, loader: 1, ..Start::default() }),
            "two loaders of a stage differ: {number}"
        );
    }
}

#[test]
fn loaders_keep_their_promises() {
    for make in loaders() {
        for workers in [0, 2] {
            check_loader(&mut make().workers(workers)).unwrap();
        }
    }
}

#[test]
fn the_ranks_shares_are_the_batch() {
    for make in loaders().into_iter().take(8) {
        let start = Start { seed: 1, epoch: 1, ..Start::default() };
        let whole = all(&mut make(), start);
        for world in [2, 3, 5] {
            let shares: Vec<_> =
                (0..world).map(|rank| all(&mut make().workers(2), Start { rank, world, ..start })).collect();
            for (batch, whole) in whole.iter().enumerate() {
                let ids: Vec<u64> = shares.iter().flat_map(|share| share[batch].0.clone()).collect();
                assert_eq!(ids, whole.0);
                assert_eq!(shares.iter().map(|share| share[batch].3).sum::<f64>(), whole.3);
            }
        }
    }
}

#[test]
fn an_error_and_a_panic_come_with_their_batch_and_name_the_smallest_sample() {
    for panics in [false, true] {
        for workers in [0, 1, 2, 5] {
            let bad = from_fn(20, move |i, _: &mut Draws| {
                assert!(!panics || i != 9 && i != 11, "no picture");
                if i == 9 || i == 11 {
                    Err("no picture".into())
                } else {
                    Ok(Sample::new().with("input", i as i64))
                }
            });
            let mut loader = DataLoader::new(bad, 4).workers(workers);
            loader.start(Start::default()).unwrap();
            for _ in 0..2 {
                loader.next_batch().unwrap().unwrap();
            }
            let error = loader.next_batch().unwrap_err();
            let error = error.downcast_ref::<SampleError>().unwrap();
            assert_eq!(error.sample, 9);
            assert!(error.what.contains("no picture"), "{error}");
        }
    }
}

#[test]
fn an_error_whose_text_panics_comes_with_its_batch_and_ends_no_thread() {
    #[derive(Debug)]
    struct Mute;

    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no words")
        }
    }

    impl std::error::Error for Mute {}

    for workers in [0, 1, 2, 5] {
        let bad =
            from_fn(
                20,
                move |i, _: &mut Draws| {
                    if i == 9 { Err(Mute.into()) } else { Ok(Sample::new().with("input", i as i64)) }
                },
            );
        let mut loader = DataLoader::new(bad, 4).workers(workers);
        loader.start(Start::default()).unwrap();
        for _ in 0..2 {
            loader.next_batch().unwrap().unwrap();
        }
        let error = loader.next_batch().unwrap_err();
        let error = error.downcast_ref::<SampleError>().unwrap();
        assert_eq!(error.sample, 9);
        assert!(error.to_string().contains("an error whose text panicked: no words"), "{error}");
        // all threads are there: the next batch comes
        assert_eq!(loader.next_batch().unwrap().unwrap().ids, [12, 13, 14, 15]);
    }
}

#[test]
fn too_many_that_are_skipped_and_a_batch_without_a_sample_are_errors() {
    for workers in [0, 2] {
        let bad = |bad: std::ops::Range<u64>| {
            from_fn(20, move |i, _: &mut Draws| {
                if bad.contains(&i) { Err("bad".into()) } else { Ok(Sample::new().with("input", i as i64)) }
            })
        };
        let first_error = |loader: DataLoader| {
            let mut loader = loader.workers(workers);
            loader.start(Start::default()).unwrap();
            loop {
                match loader.next_batch() {
                    Ok(Some(_)) => {}
                    Ok(None) => return "none".to_owned(),
                    Err(error) => return error.to_string(),
                }
            }
        };
        let skip = |at_most| OnError::Skip { at_most };
        assert_eq!(first_error(DataLoader::new(bad(2..4), 4).on_error(skip(2))), "none");
        let text = first_error(DataLoader::new(bad(2..4), 4).on_error(skip(1)));
        assert_eq!(text, "more than 1 samples of the epoch can't be made; the next: sample 3: bad");
        let text = first_error(DataLoader::new(bad(4..8), 4).on_error(skip(9)));
        assert_eq!(text, "no sample of the batch could be made; the last: sample 7: bad");
    }
}

#[test]
fn left_and_started_many_times_it_keeps_as_many_threads_and_a_kept_tensor_stays_as_it_is() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let mut loader = DataLoader::new(augmented(1000), 4).workers(2).shuffle(true);
    loader.start(Start::default()).unwrap();
    let kept = loader.next_batch().unwrap().unwrap();
    let copy = kept.get("input").unwrap().copy();
    for epoch in 1..300 {
        loader.start(Start { epoch, ..Start::default() }).unwrap();
        loader.next_batch().unwrap().unwrap();
        loader.leave();
    }
    assert!(threads() < 100, "{} threads", threads());
    assert_eq!(kept.get("input").unwrap(), &copy);
}

#[test]
fn a_get_that_does_not_return_is_left_to_itself() {
    let hangs = from_fn(8, |i, _: &mut Draws| {
        if i == 5 {
            std::thread::sleep(Duration::from_secs(3));
        }
        Ok(Sample::new().with("input", i as i64))
    });
    let mut loader = DataLoader::new(hangs, 4).workers(2).patience(Duration::from_millis(50));
    loader.start(Start::default()).unwrap();
    loader.next_batch().unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    loader.leave();
    assert!(begun.elapsed() < Duration::from_secs(2));
    loader.start(Start::default()).unwrap();
    assert_eq!(loader.next_batch().unwrap().unwrap().ids, [0, 1, 2, 3]);
}

#[test]
fn a_billion_samples_need_no_memory_and_no_time() {
    let mut loader = DataLoader::new(augmented(1_000_000_000), 64).shuffle(true).workers(1);
    let begun = Instant::now();
    loader.start(Start { batch: 1_000_000, ..Start::default() }).unwrap();
    assert_eq!(loader.next_batch().unwrap().unwrap().ids.len(), 64);
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(loader.position(), None);
}

#[test]
fn shapes_that_change_between_batches_are_stacked_and_within_one_are_an_error() {
    for workers in [0, 1, 3] {
        let grows =
            from_fn(
                12,
                |i, _: &mut Draws| Ok(Sample::new().with("input", vec![1.5_f32; 1 + i as usize / 3])),
            );
        let mut loader = DataLoader::new(grows, 3).workers(workers);
        let sizes: Vec<_> =
            all(&mut loader, Start::default()).iter().map(|batch| batch.2[0].1.clone()).collect();
        assert_eq!(sizes, [[3, 1], [3, 2], [3, 3], [3, 4]]);
        let differs = from_fn(12, |i, _: &mut Draws| {
            Ok(Sample::new().with("input", vec![1.5_f32; 1 + usize::from(i == 7)]))
        });
        let mut loader = DataLoader::new(differs, 3).workers(workers);
        loader.start(Start::default()).unwrap();
        loader.next_batch().unwrap().unwrap();
        loader.next_batch().unwrap().unwrap();
        let text = loader.next_batch().unwrap_err().to_string();
        assert!(
            text.starts_with(
                "`input` is Float [2] in sample number 1 of the batch, and Float [1] in the first"
            ),
            "{text}"
        );
    }
}
