//! Who multiplies matrices on the CPU: libtorch's own library, or this crate.
//!
//! libtorch asks for the products of f32 and f64 by the names that BLAS gave them. With the feature `gemm` (on by default) this crate has functions of these names,
//! for Linux on x86-64, and a program that holds it offers them to its libraries: all of libtorch then multiplies here. The functions compute the product, with
//! the kernels of the crates `gemm-f32` and `gemm-f64` on libtorch's threads, or hand it on to what libtorch would have used without this crate. Which of the two
//! follows from the processor alone, so a machine has one arithmetic; [`set`] and the environment's `CATENA_GEMM` choose by hand.
//!
//! What is computed here has the same bits for any number of threads. A number of the result depends on its row of the left side and its column of the right
//! side alone: a sample's output is the same in any batch, and alone.
//!
//! The names reach libtorch only if they are the program's. A library that is loaded later (an extension of Python, a `cdylib`) comes too late: libtorch has
//! looked its names up before, and goes on with its own products; this crate sees that, and uses libtorch's as well.
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Error, Result};

#[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
mod element;
#[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
mod kernels;
#[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
mod own;
#[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
mod pack;
#[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
mod product;
#[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
mod split;
#[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
mod symbols;
#[cfg(all(test, feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
mod tests;
#[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
mod vectors;

/// Who multiplies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gemm {
    /// This crate on processors of AMD and Hygon with AVX2 and FMA, where most products are faster so; libtorch's own elsewhere.
    #[default]
    Auto,
    /// What libtorch uses by itself.
    Libtorch,
    /// This crate. The processor needs AVX2 and FMA.
    Catena,
}

impl FromStr for Gemm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "libtorch" => Ok(Self::Libtorch),
            "catena" => Ok(Self::Catena),
            _ => Err(Error::Argument(format!(
                "`{text}` is nobody who multiplies matrices; there are `auto`, `libtorch` and `catena`"
            ))),
        }
    }
}

const UNDECIDED: u8 = 0;
const LIBTORCH: u8 = 1;
const CATENA: u8 = 2;
static MULTIPLIES: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Chooses who multiplies from now on, in the whole process. It goes before the environment.
///
/// Choose before a run begins: the bits of all that is computed follow from it.
///
/// # Errors
///
/// For [`Gemm::Catena`] where this crate can't multiply: without the feature `gemm`, on other systems or processors, and where libtorch does not ask it.
pub fn set(choice: Gemm) -> Result<()> {
    if let (Gemm::Catena, Some(why)) = (choice, why_not()) {
        return Err(Error::Argument(format!("catena can't multiply matrices: {why}")));
    }
    MULTIPLIES.store(decide(choice), Ordering::Relaxed);
    Ok(())
}

/// What the environment's `CATENA_GEMM` chooses; [`Gemm::Auto`] if it is not set.
///
/// # Errors
///
/// If it is something else than `auto`, `libtorch` or `catena`, or `catena` where this crate can't multiply. The products themselves can't tell: they take a word
/// that is none for `auto`, and `libtorch` where there is no choice.
pub fn from_environment() -> Result<Gemm> {
    let Some(text) = std::env::var_os("CATENA_GEMM") else { return Ok(Gemm::Auto) };
    let choice =
        text.to_string_lossy().parse().map_err(|error| Error::Argument(format!("CATENA_GEMM: {error}")))?;
    match (choice, why_not()) {
        (Gemm::Catena, Some(why)) => {
            Err(Error::Argument(format!("CATENA_GEMM: catena can't multiply matrices: {why}")))
        }
        _ => Ok(choice),
    }
}

/// Who multiplies: `"catena"` or `"libtorch"`.
pub fn name() -> &'static str {
    if is_catenas() { "catena" } else { "libtorch" }
}

/// Whether this crate multiplies.
pub fn is_catenas() -> bool {
    match MULTIPLIES.load(Ordering::Relaxed) {
        UNDECIDED => {
            let decided = decide(from_environment().unwrap_or_default());
            // a choice that was made meanwhile stays
            let _ = MULTIPLIES.compare_exchange(UNDECIDED, decided, Ordering::Relaxed, Ordering::Relaxed);
            MULTIPLIES.load(Ordering::Relaxed) == CATENA
        }
        decided => decided == CATENA,
    }
}

fn decide(choice: Gemm) -> u8 {
    let wanted = match choice {
        Gemm::Auto => wins(),
        Gemm::Libtorch => false,
        Gemm::Catena => true,
    };
    if wanted && why_not().is_none() { CATENA } else { LIBTORCH }
}

#[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
use symbols::{why_not, wins};

#[cfg(not(all(feature = "gemm", target_os = "linux", target_arch = "x86_64")))]
fn why_not() -> Option<&'static str> {
    Some("this build of catena has no matrix products of its own")
}

#[cfg(not(all(feature = "gemm", target_os = "linux", target_arch = "x86_64")))]
fn wins() -> bool {
    false
}
