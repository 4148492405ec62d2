use catena_chain::drive::Driver;
use catena_chain::{on, testing};
use catena_tensor::optim::{Adagrad, AdamW, OptimizerConfig, ParamGroup, Rule, Sgd};
use catena_tensor::params::parameters;
use catena_tensor::schedule::{Chained, Exponential, Lambda, Linear, OneCycle};
use proptest::prelude::*;

use super::*;
use crate::{Optimize, ZeroGrad};

fn driver(config: impl Into<OptimizerConfig>, schedules: Vec<LrSchedule>) -> Result<Driver> {
    let mut all: Vec<Box<dyn Callback>> = vec![Box::new(Optimize)];
    all.extend(schedules.into_iter().map(|schedule| Box::new(schedule) as Box<dyn Callback>));
    let mut driver = testing::driver(all)?;
    let cx = driver.context_mut();
    *cx.optimizer_mut()? = Optimizer::new(config, &parameters(cx.model.var_store()))?;
    driver.fire(Event::StageStart)?;
    Ok(driver)
}

fn settings(driver: &Driver, name: &str) -> Vec<f64> {
    let groups = driver.context().optimizer().unwrap().groups();
    groups.iter().map(|group| group.get(name).unwrap()).collect()
}

fn halved() -> LrSchedule {
    LrSchedule::new(Exponential::new(0.5))
}

#[test]
fn a_setting_moves_relative_to_what_each_group_was_made_with() -> Result<()> {
    let config = OptimizerConfig::from(AdamW::new(0.1).weight_decay(0.4))
        .group(ParamGroup::new("*.bias").set("weight_decay", 0.0));
    let mut driver = driver(config, vec![halved().of("weight_decay"), halved().of("momentum")])?;
    driver.fire(Event::Step)?;
    assert_eq!(driver.context_mut().metrics.last("weight_decay")?, Some(0.4));
    driver.fire(Event::Step)?;
    assert_eq!(settings(&driver, "weight_decay"), [0.0, 0.1]);
    assert_eq!(settings(&driver, "beta1"), [0.225, 0.225]);
    assert_eq!(settings(&driver, "lr"), [0.1, 0.1]);
    Ok(())
}

#[test]
fn one_group_moves_alone_by_step_or_by_epoch() -> Result<()> {
    let config = OptimizerConfig::from(Sgd::new(0.8)).group(ParamGroup::new("*.bias").lr(0.4));
    let mut one = driver(config.clone(), vec![halved().group("*.bias")])?;
    one.fire(Event::Step)?;
    assert_eq!(settings(&one, "lr"), [0.2, 0.8]);

    let bias = LrSchedule::new(Linear::new()).group("*.bias").by_epoch();
    let mut by_epoch = driver(config, vec![bias])?;
    by_epoch.fire(Event::Step)?;
    assert_eq!(settings(&by_epoch, "lr"), [0.4 / 3.0, 0.8]);
    by_epoch.fire(Event::EpochEnd)?;
    assert_eq!(settings(&by_epoch, "lr")[1], 0.8);
    assert!(settings(&by_epoch, "lr")[0] > 0.4 / 3.0);
    Ok(())
}

#[test]
fn a_setting_or_a_group_that_is_not_there_is_named() {
    let error = driver(Sgd::new(0.1), vec![halved().of("beta2")]).unwrap_err().to_string();
    assert!(error.contains("sgd has no setting `beta2`; it has: lr, momentum"), "{error}");
    let config = Sgd::new(0.1).group(ParamGroup::new("*.bias"));
    let error = driver(config, vec![halved().group("head.*")]).unwrap_err().to_string();
    assert!(error.contains("no group `head.*`; its groups' patterns are: *.bias"), "{error}");
    let cycle = LrSchedule::new(OneCycle::new(0.5, 10));
    let error = driver(Adagrad::new(0.1), vec![cycle]).unwrap_err().to_string();
    assert!(error.contains("`one_cycle` moves the momentum, which the optimizer does not have"), "{error}");
    assert!(
        driver(Adagrad::new(0.1), vec![LrSchedule::new(OneCycle::new(0.5, 10).cycle_momentum(false))])
            .is_ok()
    );
}

#[test]
fn a_value_that_is_no_number_is_refused_before_it_reaches_the_optimizer() -> Result<()> {
    let schedule = Lambda::new(|step| if step == 2 { f64::NAN } else { 1.0 });
    let mut driver = driver(Sgd::new(0.1), vec![LrSchedule::new(schedule)])?;
    driver.fire(Event::Step)?;
    let error = driver.fire(Event::Step).unwrap_err();
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(text, "the schedule `lambda` gives NaN for `lr` at 2, but must give a number");
    assert_eq!(settings(&driver, "lr"), [0.1]);
    Ok(())
}

#[test]
fn one_made_in_code_can_not_be_written() {
    let chained = Chained::new([Lambda::new(|_| 1.0).into(), Exponential::new(0.5).into()]);
    let error = serde_json::to_string(&LrSchedule::new(chained)).unwrap_err().to_string();
    assert_eq!(error, "schedule `chained` lives in code, or has a part that does, so it can't be written");
}

#[test]
fn the_momentum_of_a_schedule_stays_where_another_setting_is_moved() -> Result<()> {
    let cycle = LrSchedule::new(OneCycle::new(0.5, 10)).of("weight_decay");
    let driver = driver(Sgd::new(0.1).momentum(0.7), vec![cycle])?;
    assert_eq!(settings(&driver, "momentum"), [0.7]);
    Ok(())
}

proptest! {
    #[test]
    fn a_schedule_never_moves_on_a_skipped_step(skips in prop::collection::vec(any::<bool>(), 1..30)) {
        let turn = std::cell::Cell::new(0);
        let outcomes = skips.clone();
        let skipper = on(Event::Backward, move |_| {
            let at = turn.replace(turn.get() + 1);
            Ok(if outcomes[at] { Flow::SKIP_STEP } else { Flow::GO })
        });
        let mut driver =
            testing::driver(vec![Box::new(skipper), Box::new(Optimize), Box::new(ZeroGrad), Box::new(halved())]).unwrap();
        driver.fire(Event::StageStart).unwrap();
        let mut stepped = 0;
        for skip in skips {
            driver.enter_batch(testing::tiny_batch(6));
            driver.enter_pass(0).unwrap();
            driver.fire(Event::Backward).unwrap();
            driver.fire(Event::Step).unwrap();
            stepped += u64::from(!skip);
            prop_assert_eq!(settings(&driver, "lr"), [0.1 * 0.5f64.powi(stepped as i32)]);
        }
    }
}
