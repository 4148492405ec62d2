//! `plan()` shows the chain as it runs.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;

#[test]
fn the_plan_shows_stages_loaders_and_who_hears_what_in_order() {
    let warm_up = Stage::new("warm-up")
        .train(tiny_loader(8, 2))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1).momentum(0.9))
        .freeze("*.bias");
    let main = Stage::new("main")
        .epochs(20)
        .train(tiny_loader(8, 2).shuffle(true))
        .valid(tiny_loader(4, 2))
        .on_request("test", tiny_loader(4, 4))
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(1e-3).group(ParamGroup::new("*.bias").set("weight_decay", 0.0)))
        .schedule(CosineAnnealing::new(40))
        .callback(Accumulate::new(2).tail(Tail::Drop))
        .callback(ClipGradNorm::new(1.0));
    let runner = Runner::builder(tiny_model())
        .seed(7)
        .stage(warm_up)
        .stage(main)
        .callback(Accuracy::new().only(Mode::Eval))
        .callback(NanGuard::new())
        .callback(on(Event::Step, |_| Ok(Flow::GO)).named("peek").every(Every::Steps(100)))
        .callback(MaxSteps(1000))
        .callback(Console::new())
        .build()
        .unwrap();
    insta::assert_snapshot!(runner.plan());
}
