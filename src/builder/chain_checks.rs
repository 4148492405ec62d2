//! What can be told of a chain of callbacks before it runs: places that don't exist, metrics that nobody logs, settings with two writers.
use catena_callbacks::goal;
use catena_chain::drive::Member;
use catena_chain::{Only, Role};
use catena_tensor::model::Mode;

use crate::error::Error;
use crate::error::RunResult as Result;
use crate::stage::StageLoader;
use crate::stage::{Stage, StartFrom};

pub(super) fn check(members: &[Member], stages: &[Stage]) -> Result<()> {
    check_places(members, stages)?;
    check_policies(members, stages)?;
    check_watched(members, stages)?;
    check_writers(members, stages)?;
    check_groups(members, stages)?;
    check_starts(members, stages)?;
    check_evaluations(members, stages)?;
    check_logged(members, stages)
}

/// Of two policies of snapshots one would hold, whichever is heard last.
fn check_policies(members: &[Member], stages: &[Stage]) -> Result<()> {
    for (i, stage) in stages.iter().enumerate() {
        let mut here = members
            .iter()
            .filter(|member| member.about().role == Some(Role::Checkpoint) && member.hears_in(i));
        if let (Some(first), Some(second)) = (here.next(), here.next()) {
            let source = format!(
                "{} and {} both say which snapshots are kept, and only one can; make them one, which may have several triggers \
                 (`Checkpoint::new().every(…).every(…)`)",
                first.name(),
                second.name()
            );
            return Err(Error::Stage { stage: stage.name.clone(), source: source.into() });
        }
    }
    Ok(())
}

/// A callback that hears one loader or stage only would hear nothing if there is none of that name.
fn check_places(members: &[Member], stages: &[Stage]) -> Result<()> {
    for member in members {
        let heard = || stages.iter().enumerate().filter(|(i, _)| member.hears_in(*i)).map(|(_, stage)| stage);
        let loaders = || heard().flat_map(|stage| stage.loaders.iter().map(|loader| loader.name.as_str()));
        for only in &member.about().only {
            let (what, name, known): (_, _, Vec<&str>) = match only {
                Only::Mode(_) => continue,
                Only::Loader(name) => ("loader", name, loaders().collect()),
                Only::Pass(name) => (
                    "pass",
                    name,
                    heard().flat_map(|stage| stage.passes.iter().map(|pass| pass.name.as_str())).collect(),
                ),
                Only::Stage(name) => ("stage", name, heard().map(|stage| stage.name.as_str()).collect()),
            };
            if !known.contains(&name.as_str()) {
                return Err(Error::Settings {
                    callback: member.name().to_owned(),
                    source: format!(
                        "it is to hear {what} `{name}` only, but there is none of that name; there are: {}",
                        known.join(", ")
                    )
                    .into(),
                });
            }
        }
    }
    Ok(())
}

/// Two callbacks that log one metric overwrite each other, or are averaged.
fn check_logged(members: &[Member], stages: &[Stage]) -> Result<()> {
    for (i, stage) in stages.iter().enumerate() {
        let here: Vec<&Member> = members.iter().filter(|member| member.hears_in(i)).collect();
        for (n, member) in here.iter().enumerate() {
            let own: Vec<&String> = member.about().logs.iter().flatten().collect();
            for other in here[..n].iter().filter(|other| !are_apart(member, other)) {
                let Some(name) = other.about().logs.iter().flatten().find(|name| own.contains(name)) else {
                    continue;
                };
                let source = format!(
                    "{} and {} both log `{name}`, so one would overwrite what the other measures; give one another name, such as by \
                     `.log_as(…)`",
                    other.name(),
                    member.name()
                );
                return Err(Error::Stage { stage: stage.name.clone(), source: source.into() });
            }
        }
    }
    Ok(())
}

/// Whether two callbacks never hear the same, as by `.only(…)` they are of two loaders, modes, stages or passes.
fn are_apart(one: &Member, other: &Member) -> bool {
    one.about().only.iter().any(|own| other.about().only.iter().any(|only| own.excludes(only)))
}

/// A metric that is watched must be logged by somebody: in the callback's stage, or for one of the run in any stage that it hears. Where a callback does not
/// say what it logs, nothing is certain: that is told.
fn check_watched(members: &[Member], stages: &[Stage]) -> Result<()> {
    let here = |i: usize| members.iter().filter(move |member| member.hears_in(i));
    for member in members.iter().filter(|member| !member.about().watches.is_empty()) {
        let heard: Vec<usize> = (0..stages.len()).filter(|i| member.hears_in(*i)).collect();
        for name in &member.about().watches {
            if heard.iter().any(|i| is_logged(name, here(*i), &stages[*i])) {
                continue;
            }
            let silent: Vec<&str> = heard
                .iter()
                .flat_map(|i| here(*i))
                .filter(|other| other.about().logs.is_none())
                .map(Member::name)
                .collect();
            if let Some(first) = silent.first() {
                log::info!(
                    "whether somebody logs `{name}`, which {} watches, could not be checked: {first} does not say what it logs",
                    member.name()
                );
                continue;
            }
            let of = |i: &usize| {
                let logged: Vec<&str> =
                    here(*i).flat_map(|m| m.about().logs.iter().flatten()).map(String::as_str).collect();
                let loaders: Vec<&str> =
                    stages[*i].loaders.iter().map(|loader| loader.name.as_str()).collect();
                format!("logged are {}, each in the loaders {}", logged.join(", "), loaders.join(", "))
            };
            let known: Vec<String> = match heard.as_slice() {
                [one] => vec![of(one)],
                several => {
                    several.iter().map(|i| format!("in stage `{}` {}", stages[*i].name, of(i))).collect()
                }
            };
            let text =
                format!("{} watches `{name}`, but nobody logs it; {}", member.name(), known.join("; "));
            return Err(match (member.stage(), heard.as_slice()) {
                (None, [_, _, ..]) => Error::Build(text),
                (_, heard) => {
                    let stage = heard.first().map_or_else(String::new, |i| stages[*i].name.clone());
                    Error::Stage { stage, source: text.into() }
                }
            });
        }
    }
    Ok(())
}

/// Whether a metric of this whole name is logged in a stage by one of these.
fn is_logged<'a>(name: &str, members: impl Iterator<Item = &'a Member>, stage: &Stage) -> bool {
    let of_loader = |l: &StageLoader| name.strip_prefix(&format!("{}/", l.name)).map(str::to_owned);
    let rests: Vec<String> = stage.loaders.iter().filter_map(of_loader).chain([name.to_owned()]).collect();
    let is_it = |logged: &String, rest: &String| {
        let of_pass = |pass: &str| {
            stage.passes.len() > 1
                && rest.strip_suffix(pass).is_some_and(|start| start.strip_suffix('/') == Some(logged))
        };
        rest == logged || stage.passes.iter().any(|pass| of_pass(&pass.name))
    };
    members
        .flat_map(|member| member.about().logs.iter().flatten())
        .any(|logged| rests.iter().any(|rest| is_it(logged, rest)))
}

/// A stage that starts from the best snapshot needs that it is kept.
fn check_starts(members: &[Member], stages: &[Stage]) -> Result<()> {
    for stage in stages {
        let StartFrom::Best { metric, mode } = &stage.start_from else { continue };
        let keeps = |member: &Member| {
            let best = &member.about().settings["keep"]["best"];
            let goal = serde_json::to_value(goal(*mode)).unwrap_or_default();
            best["metric"] == metric.as_str() && best["goal"] == goal
        };
        if !members.iter().any(keeps) {
            let source = format!(
                "it starts from the best snapshot by `{metric}`, but nothing keeps that one: give the run \
                 `Checkpoint::new().keep_best(1, \"{metric}\", PlateauMode::{mode:?})`"
            );
            return Err(Error::Stage { stage: stage.name.clone(), source: source.into() });
        }
    }
    Ok(())
}

/// An evaluation that is asked for needs a loader of that name.
fn check_evaluations(members: &[Member], stages: &[Stage]) -> Result<()> {
    for member in members {
        let Some(name) = &member.about().evaluates else { continue };
        let heard = || stages.iter().enumerate().filter(|(i, _)| member.hears_in(*i)).map(|(_, stage)| stage);
        let evaluations = |stage: &Stage| -> Vec<String> {
            stage.loaders.iter().filter(|l| l.mode == Mode::Eval).map(|l| l.name.clone()).collect()
        };
        if !heard().any(|stage| evaluations(stage).contains(name)) {
            let known: Vec<String> = heard().flat_map(evaluations).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Error::Settings {
                callback: member.name().to_owned(),
                source: format!("it asks for evaluations on loader `{name}`, but there is no Eval loader of that name; there are: {known}").into(),
            });
        }
    }
    Ok(())
}

/// A callback that moves the setting of a group that no optimizer of the stage has would move nothing.
fn check_groups(members: &[Member], stages: &[Stage]) -> Result<()> {
    for (i, stage) in stages.iter().enumerate() {
        let configs = || stage.passes.iter().filter_map(|pass| pass.optimizer.as_ref());
        let known: Vec<&str> = configs().flat_map(|config| config.patterns()).collect();
        for member in members.iter().filter(|member| member.hears_in(i)) {
            let moved = member.about().writes.iter().filter(|write| write.is_in(&stage.name));
            let unknown =
                moved.filter_map(|write| write.group.as_deref()).find(|group| !known.contains(group));
            if let Some(group) = unknown {
                let groups = match known.as_slice() {
                    [] => "its optimizer has no groups (`ParamGroup`)".to_owned(),
                    known => format!("its groups' patterns are: {}", known.join(", ")),
                };
                let source = format!("{} moves group `{group}`, which is not in it; {groups}", member.name());
                return Err(Error::Stage { stage: stage.name.clone(), source: source.into() });
            }
        }
    }
    Ok(())
}

/// Two callbacks that move one setting of one group in one stage undo each other's work.
fn check_writers(members: &[Member], stages: &[Stage]) -> Result<()> {
    for (i, stage) in stages.iter().enumerate() {
        let here = members.iter().filter(|member| member.hears_in(i));
        let all = here.flat_map(|member| member.about().writes.iter().map(move |write| (member, write)));
        let all: Vec<_> = all.filter(|(_, write)| write.is_in(&stage.name)).collect();
        for (n, (member, write)) in all.iter().enumerate() {
            let other =
                all[..n].iter().find(|(other, before)| other.key() != member.key() && before.collides(write));
            if let Some((other, before)) = other {
                let group = match write.group.as_ref().or(before.group.as_ref()) {
                    Some(pattern) => format!("group `{pattern}`"),
                    None => "every group".into(),
                };
                let source = format!(
                    "{} and {} both move `{}` of {group}, so one undoes what the other does; leave one out, or give each a group of its own \
                     (`ParamGroup` in the optimizer, `.group(…)` of the schedule)",
                    other.name(),
                    member.name(),
                    write.setting,
                );
                return Err(Error::Stage { stage: stage.name.clone(), source: source.into() });
            }
        }
    }
    Ok(())
}
