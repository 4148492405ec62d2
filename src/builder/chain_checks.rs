//! What can be told of a chain of callbacks before it runs: places that don't exist, metrics that nobody logs, settings with two writers.
use catena_chain::{Member, Only, Role};

use crate::stage::StageLoader;
use crate::{Error, Result, Stage};

pub(super) fn check(members: &[Member], stages: &[Stage]) -> Result<()> {
    check_places(members, stages)?;
    check_policies(members, stages)?;
    check_watched(members, stages)?;
    check_writers(members, stages)?;
    check_groups(members, stages)?;
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

/// A metric that is watched must be logged by somebody, if everybody says what he logs.
fn check_watched(members: &[Member], stages: &[Stage]) -> Result<()> {
    for (i, stage) in stages.iter().enumerate() {
        let here = || members.iter().filter(move |member| member.hears_in(i));
        let Some(logged) = here().map(|m| m.about().logs.clone()).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let mut logged: Vec<String> = logged.into_iter().flatten().collect();
        if stage.passes.len() > 1 {
            let of_passes = logged
                .iter()
                .flat_map(|name| stage.passes.iter().map(move |pass| format!("{name}/{}", pass.name)));
            logged.extend(of_passes.collect::<Vec<_>>());
        }
        let known = |name: &String| {
            let of_loader = |l: &StageLoader| name.strip_prefix(&format!("{}/", l.name)).map(str::to_owned);
            logged.contains(name)
                || stage.loaders.iter().filter_map(of_loader).any(|rest| logged.contains(&rest))
        };
        for member in here() {
            if let Some(name) = member.about().watches.iter().find(|name| !known(name)) {
                let loaders: Vec<&str> = stage.loaders.iter().map(|loader| loader.name.as_str()).collect();
                let source = format!(
                    "{} watches `{name}`, but nobody logs it; logged are {}, each in the loaders {}",
                    member.name(),
                    logged.join(", "),
                    loaders.join(", ")
                );
                return Err(Error::Stage { stage: stage.name.clone(), source: source.into() });
            }
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
