//! Whether the logs are those that the snapshot's callbacks wrote.
use std::path::PathBuf;

use catena_chain::State;

use super::Runner;
use crate::disk::SavedCallback;
use crate::error::Error;
use crate::error::RunResult as Result;

impl Runner {
    /// Refuses to go on with logs that are other ones than at the snapshot. With `logs` allowed, those are left out of the callbacks' states, which
    /// begin them anew; gives which files are in their way then.
    pub(super) fn check_logs(&self, callbacks: &mut [SavedCallback]) -> Result<Vec<PathBuf>> {
        let Some(disk) = &self.disk else { return Ok(Vec::new()) };
        let is_allowed = self.allowed.iter().any(|allowed| allowed == "logs");
        let (mut wrong, mut in_the_way) = (Vec::new(), Vec::new());
        for callback in callbacks {
            let state = State { json: callback.json.clone(), logs: callback.logs.clone(), ..State::none() };
            for (path, mark) in self.driver.needed_logs(&callback.key, &state)? {
                let at = disk.path().join(&path);
                let Err(unlike) = mark.check(&at) else { continue };
                if is_allowed {
                    log::warn!("{path} {unlike}; it is begun anew from here on, as `logs` is allowed");
                }
                wrong.push(format!("{path} {unlike}"));
                callback.logs.remove(&path);
                if std::fs::symlink_metadata(&at).is_ok() {
                    in_the_way.push(at);
                }
            }
        }
        match is_allowed || wrong.is_empty() {
            true => Ok(in_the_way),
            false => Err(Error::Logs { path: disk.path().to_owned(), logs: wrong.join("; ") }),
        }
    }
}
