//! The chain as text.
use std::fmt::Write;

use catena_chain::drive::Driver;
use catena_chain::{Event, Phase};
use catena_tensor::{device, params::parameters};

use crate::stage::Stage;

/// Stages, loaders, passes, and for each event the callbacks that hear it, in order.
pub(crate) fn plan(stages: &[Stage], driver: &Driver) -> String {
    let cx = driver.context();
    let params = parameters(cx.model.var_store());
    let numbers: usize = params.iter().map(|p| p.tensor.numel()).sum();
    let mut text = String::new();
    line(
        &mut text,
        format_args!(
            "model: {numbers} trainable numbers in {} tensors, on {}",
            params.len(),
            device::name(cx.device())
        ),
    );
    line(&mut text, format_args!("seed: {}", cx.seed()));
    for (i, stage) in stages.iter().enumerate() {
        line(&mut text, format_args!("\nstage `{}`: {}", stage.name, count(stage.epochs, "epoch")));
        for loader in &stage.loaders {
            let batches = loader.source.batches().map_or("unknown length".into(), |n| count(n, "batch"));
            let when = if loader.on_request { ", on request" } else { "" };
            line(&mut text, format_args!("  loader `{}`: {:?}, {batches}{when}", loader.name, loader.mode));
        }
        for pass in &stage.passes {
            if let Some(optimizer) = &pass.optimizer {
                line(&mut text, format_args!("  pass `{}`: {}", pass.name, optimizer.describe()));
            }
        }
        for pattern in &stage.frozen {
            line(&mut text, format_args!("  frozen: {pattern}"));
        }
        for pattern in &stage.frozen_parameters {
            line(&mut text, format_args!("  frozen, but not its running statistics: {pattern}"));
        }
        events(&mut text, driver, Some(i));
    }
    let marked = driver.chain().members().iter().any(|member| member.about().syncs);
    if marked {
        line(&mut text, format_args!("\n* waits for the device at every batch"));
    }
    text
}

fn events(text: &mut String, driver: &Driver, stage: Option<usize>) {
    for event in Event::ALL {
        let mut hearing =
            driver.chain().members().iter().filter(|member| member.hears(event, stage)).peekable();
        if hearing.peek().is_none() {
            continue;
        }
        line(text, format_args!("  {event}"));
        for member in hearing {
            let note = member.about().text();
            let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
            let mark = if member.about().syncs { " *" } else { "" };
            line(text, format_args!("    {:<9} {}{note}{mark}", phase(member.about().phase), member.name()));
        }
    }
}

fn phase(phase: Phase) -> String {
    phase.to_string()
}

fn count(n: u64, unit: &str) -> String {
    let plural = if unit.ends_with('h') && unit != "epoch" { "es" } else { "s" };
    if n == 1 { format!("1 {unit}") } else { format!("{n} {unit}{plural}") }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // writing to a String can't fail
    let _ = writeln!(text, "{arguments}");
}
