//! The runner's own dispatch allocates nothing.
use catena::chain::testing::tiny_model;
use catena::prelude::*;
use catena::tensor::data::Start;

struct Nothing(u64, u64);

impl Loader for Nothing {
    fn batches(&self) -> Option<u64> {
        Some(self.0)
    }
    fn start(&mut self, _: Start) -> catena::Result<()> {
        self.1 = 0;
        Ok(())
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        self.1 += 1;
        Ok((self.1 <= self.0).then(Batch::default))
    }
}

struct Hears;

impl Callback for Hears {
    fn state(&self) -> State {
        State::none()
    }
}

#[test]
fn a_thousand_batches_more_allocate_nothing_more() {
    let allocations = |batches| {
        let mut stage =
            Stage::new("nothing").bare().train(Nothing(batches, 0)).callback(Hears.every(Every::Batches(3)));
        for i in 0..20 {
            stage = stage.callback(Hears.named(format!("hears {i}")).only(Mode::Train));
        }
        let mut runner = Runner::builder(tiny_model()).stage(stage).build().unwrap();
        allocation_counter::measure(|| drop(runner.run().unwrap())).count_total
    };
    let few = allocations(1000);
    assert!(few > 0, "the counter counts");
    assert_eq!(few, allocations(2000));
}
