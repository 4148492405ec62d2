//! Freed memory that is kept: the numbers stay right, the bound holds, and what one thread frees another may use. One test, since the allocator is the process's.
use catena_native::memory;
use tch::{Device, Kind, Tensor};

/// A tensor of so many bytes, all of this value.
fn filled(bytes: i64, value: i64) -> Tensor {
    Tensor::full([bytes], value, (Kind::Uint8, Device::Cpu))
}

fn holds(tensor: &Tensor, value: i64) -> bool {
    tensor.eq(value).all().int64_value(&[]) != 0
}

#[test]
fn memory_is_kept_within_its_bound_whatever_the_sizes_and_threads() {
    let before = filled(1000, 7);
    let keeping = memory::keep(1 << 20).unwrap();

    // every size up to some pages, and around each power of two
    let around = (12..24).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]);
    for bytes in (1..9000).chain(around) {
        let (first, second) = (filled(bytes, 1), filled(bytes, 2));
        assert!(holds(&first, 1) && holds(&second, 2), "{bytes}");
        assert_eq!(first.data_ptr() as usize % 64, 0, "{bytes}");
        assert_ne!(first.data_ptr(), second.data_ptr(), "{bytes}");
        let freed = first.data_ptr();
        drop(first);
        assert!(memory::kept() <= 1 << 20, "{bytes}");
        if bytes < 1 << 19 {
            let third = filled(bytes, 3);
            assert_eq!(third.data_ptr(), freed, "{bytes}");
            assert!(holds(&second, 2) && holds(&third, 3), "{bytes}");
        }
    }

    // what was made by the other allocator is freed by it
    let kept = memory::kept();
    drop(before);
    assert_eq!(memory::kept(), kept);
    assert_eq!(filled(0, 0).numel(), 0);

    // tensors made on one thread and freed on another, also by threads that have ended
    drop(keeping);
    assert_eq!(memory::kept(), 0);
    let keeping = memory::keep(1 << 20).unwrap();
    for bytes in [100, 10_000, 100_000] {
        let made = std::thread::spawn(move || (0..20).map(|value| filled(bytes, value)).collect::<Vec<_>>());
        let made = made.join().unwrap();
        assert!(made.iter().zip(0..).all(|(tensor, value)| holds(tensor, value)));
        std::thread::spawn(move || drop(made)).join().unwrap();
        let again: Vec<Tensor> = (0..20).map(|value| filled(bytes, value)).collect();
        assert!(again.iter().zip(0..).all(|(tensor, value)| holds(tensor, value)));
    }
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            std::thread::spawn(move || {
                for round in 0..300_i64 {
                    let bytes = (round * 7919 * (thread + 1)) % 70_000 + 1;
                    let all: Vec<Tensor> = (0..5).map(|value| filled(bytes, value)).collect();
                    assert!(all.iter().zip(0..).all(|(tensor, value)| holds(tensor, value)), "{bytes}");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(memory::kept() <= 1 << 20);

    // of two bounds the larger one holds, whichever is dropped first
    let smaller = memory::keep(1 << 16).unwrap();
    drop(filled(500_000, 1));
    assert!(memory::kept() >= 500_000);
    drop(keeping);
    assert!(memory::kept() <= 1 << 16);

    // more than there is: a sentence, and all goes on
    let error = Tensor::f_zeros([1 << 50], (Kind::Uint8, Device::Cpu)).unwrap_err().to_string();
    assert!(error.contains("tried to allocate 1125899906842624 bytes"), "{error}");

    // nothing is kept any more, and what was made before stays good
    let own = filled(5000, 9);
    drop(smaller);
    assert_eq!(memory::kept(), 0);
    assert!(holds(&own, 9));
    drop(own);
    assert_eq!(memory::kept(), 0);
    drop(memory::keep(0).unwrap());
    assert_eq!(memory::kept(), 0);
}
