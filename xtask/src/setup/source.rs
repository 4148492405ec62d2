//! The order in which libtorch is looked for, as a pure function, and the check of a folder that the user names.

use super::layout::Kind;
use super::wanted::{VERSION, Wanted, is_version};
use crate::folders::same_folder;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// All that the choice depends on.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// LIBTORCH; cargo's own `[env]` sets it to `configured` where the user did not set it.
    pub(crate) libtorch: Option<OsString>,
    /// Whether LIBTORCH_USE_PYTORCH is set; to any value, as torch-sys reads it.
    pub(crate) use_pytorch: bool,
    /// The folder that `.cargo/config.toml` names.
    pub(crate) configured: PathBuf,
    /// What an earlier set-up finished there.
    pub(crate) found: Option<Kind>,
    pub(crate) wanted: Wanted,
}

/// Where libtorch comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The folder that the user's LIBTORCH names.
    Libtorch(PathBuf),
    /// The PyTorch that is installed.
    PyTorch,
    /// What an earlier set-up left.
    Found(Kind),
    /// Nothing yet: `.libtorch` has to be laid out.
    LayOut,
}

/// The first that applies.
pub(crate) fn choose(environment: &Environment) -> Source {
    if let Some(value) = &environment.libtorch {
        let folder = PathBuf::from(value);
        if !same_folder(&folder, &environment.configured) {
            return Source::Libtorch(folder);
        }
    }
    if environment.use_pytorch {
        return Source::PyTorch;
    }
    match environment.found {
        // The CUDA build runs on the CPU as well.
        Some(kind) if !environment.wanted.force && (kind == Kind::Cuda || !environment.wanted.cuda) => {
            Source::Found(kind)
        }
        _ => Source::LayOut,
    }
}

/// Refuses a LIBTORCH that could not be built against.
pub(crate) fn check_folder(folder: &Path, cuda: bool) -> Result<()> {
    let flag = if cuda { " --cuda" } else { "" };
    let advice = format!("correct LIBTORCH, or unset it and run `cargo xtask setup{flag}`");
    let shown = folder.display();
    if !folder.is_absolute() {
        bail!("LIBTORCH is \"{shown}\", which is not an absolute path: {advice}");
    }
    for part in ["include", "lib/libtorch_cpu.so"] {
        if !folder.join(part).exists() {
            bail!("LIBTORCH is {shown}, where {part} is missing: {advice}");
        }
    }
    if cuda && !folder.join("lib/libtorch_cuda.so").exists() {
        bail!("LIBTORCH is {shown}, a build without CUDA (lib/libtorch_cuda.so is missing): {advice}");
    }
    let version_file = folder.join("build-version");
    if version_file.exists() {
        let text = std::fs::read_to_string(&version_file)
            .with_context(|| format!("cannot read {}", version_file.display()))?;
        if !is_version(&text) {
            bail!("LIBTORCH is {shown}, which holds libtorch {}, not {VERSION}: {advice}", text.trim());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            libtorch: None,
            use_pytorch: false,
            configured: "/repo/.libtorch".into(),
            found: None,
            wanted: Wanted::default(),
        }
    }

    #[test]
    fn order_of_sources() {
        let own = || Source::Libtorch("/own".into());
        let (cpu, cuda) = (Some(Kind::Cpu), Some(Kind::Cuda));
        let (any, with_cuda) = (Wanted::default(), Wanted { cuda: true, force: false });
        let anew = Wanted { cuda: false, force: true };
        let configured = Some("/repo/.libtorch");
        #[rustfmt::skip]
        let table = [
            // LIBTORCH, use PyTorch, found, wanted => source
            (Some("/own"), true,  cpu,  any,       own()),
            (Some("/own"), false, None, anew,      own()),
            (Some("/own"), false, cuda, with_cuda, own()),
            (Some(""),     false, cpu,  any,       Source::Libtorch("".into())),
            (configured,   true,  cpu,  any,       Source::PyTorch),
            (None,         true,  cpu,  anew,      Source::PyTorch),
            (configured,   false, cpu,  any,       Source::Found(Kind::Cpu)),
            (None,         false, cuda, any,       Source::Found(Kind::Cuda)),
            (None,         false, cuda, with_cuda, Source::Found(Kind::Cuda)),
            (None,         false, cpu,  with_cuda, Source::LayOut),
            (None,         false, cpu,  anew,      Source::LayOut),
            (configured,   false, None, any,       Source::LayOut),
            (None,         false, None, with_cuda, Source::LayOut),
        ];
        for (libtorch, use_pytorch, found, wanted, expected) in table {
            let environment = Environment {
                libtorch: libtorch.map(OsString::from),
                use_pytorch,
                found,
                wanted,
                ..environment()
            };
            assert_eq!(choose(&environment), expected, "{environment:?}");
        }
    }

    #[test]
    fn the_configured_folder_counts_as_unset_however_it_is_spelt() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let configured = folder.path().join(".libtorch");
        std::fs::create_dir(&configured)?;
        std::os::unix::fs::symlink(folder.path(), folder.path().join("alias"))?;
        for spelling in [".libtorch", ".libtorch/", "./.libtorch", "alias/.libtorch"] {
            assert!(same_folder(&folder.path().join(spelling), &configured), "{spelling}");
        }
        assert!(!same_folder(&folder.path().join("other"), &configured));
        Ok(())
    }

    #[test]
    fn a_folder_that_does_not_serve_is_refused_with_what_is_wrong() -> Result<()> {
        let temporary = tempfile::tempdir()?;
        let folder = temporary.path();
        let said = |cuda| check_folder(folder, cuda).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said(false).contains("where include is missing"), "{}", said(false));
        std::fs::create_dir_all(folder.join("include"))?;
        std::fs::create_dir_all(folder.join("lib"))?;
        assert!(said(false).contains("where lib/libtorch_cpu.so is missing"), "{}", said(false));
        std::fs::write(folder.join("lib/libtorch_cpu.so"), "")?;
        assert_eq!(said(false), "");
        assert!(said(true).contains("a build without CUDA"), "{}", said(true));
        std::fs::write(folder.join("build-version"), "2.13.0+cpu\n")?;
        assert_eq!(said(false), "");
        std::fs::write(folder.join("build-version"), "2.1.0\n")?;
        assert!(said(false).contains("holds libtorch 2.1.0, not 2.13.0"), "{}", said(false));
        assert!(
            check_folder(Path::new("relative"), false).is_err_and(|e| e.to_string().contains("absolute"))
        );
        Ok(())
    }
}
