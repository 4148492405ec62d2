//! Who multiplies: what libtorch's operations call, and how it is chosen.
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use catena_native::gemm::{self, Gemm};
use tch::{Device, Kind, Tensor};

/// The choice is the whole process's: tests that depend on it take turns.
pub(crate) fn alone(choice: Gemm) -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    gemm::set(choice).unwrap();
    turn
}

fn random(sizes: &[i64], kind: Kind) -> Tensor {
    Tensor::randn(sizes, (kind, Device::Cpu))
}

/// A row's numbers are the same alone, in a batch, and by any of libtorch's operations that multiply: a sum has one order. So they were all computed here.
#[test]
fn all_of_libtorchs_products_come_from_here() {
    let _alone = alone(Gemm::Catena);
    for kind in [Kind::Float, Kind::Double] {
        let (a, b) = (random(&[40, 700], kind), random(&[700, 30], kind));
        let whole = a.mm(&b);
        assert_eq!(whole.get(3), b.tr().mv(&a.get(3)), "gemv, turned");
        assert_eq!(whole.get(3), b.tr().contiguous().mv(&a.get(3)), "gemv");
        assert_eq!(whole.get(3), a.narrow(0, 3, 1).mm(&b).get(0), "a batch of one");
        assert_eq!(whole, a.unsqueeze(0).bmm(&b.unsqueeze(0)).get(0), "bmm");
        assert_eq!(whole, a.linear(&b.tr().contiguous(), None::<Tensor>), "linear");
        assert_eq!(whole, b.tr().mm(&a.tr()).tr(), "turned");
        let batch = random(&[5, 40, 700], kind);
        let each = batch.bmm(&b.expand([5, 700, 30], false));
        assert_eq!(each.get(2), batch.get(2).mm(&b), "bmm of five");
        // libtorch's own has another order
        gemm::set(Gemm::Libtorch).unwrap();
        assert_ne!(whole, a.mm(&b), "libtorch's own");
        assert_ne!(each, batch.bmm(&b.expand([5, 700, 30], false)), "libtorch's own of five");
        gemm::set(Gemm::Catena).unwrap();
    }
}

#[test]
fn a_choice_in_code_holds_until_the_next() {
    let _alone = alone(Gemm::Libtorch);
    assert_eq!(gemm::name(), "libtorch");
    assert!(!gemm::is_catenas());
    gemm::set(Gemm::Catena).unwrap();
    assert_eq!(gemm::name(), "catena");
    assert!(gemm::is_catenas());
    gemm::set(Gemm::Auto).unwrap();
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let is_amds = processor.contains("AuthenticAMD") || processor.contains("HygonGenuine");
    assert_eq!(gemm::is_catenas(), is_amds);
}

/// Set where a test runs in a process of its own.
const CHILD: &str = "CATENA_TEST_CHILD";

/// A test of this program in a process of its own, with `CATENA_GEMM` as given; what it printed, and whether it passed.
fn in_a_process(test: &str, choice: Option<&str>) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env_remove("CATENA_GEMM").env(CHILD, "1");
    if let Some(choice) = choice {
        command.env("CATENA_GEMM", choice);
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), text.concat())
}

fn tell() {
    // the first product decides, whatever came before
    let _ = random(&[3, 3], Kind::Float).mm(&random(&[3, 3], Kind::Float));
    println!("it is {}; {:?}", gemm::name(), gemm::from_environment());
    gemm::set(Gemm::Libtorch).unwrap();
    println!("then {}", gemm::name());
}

#[test]
fn the_environment_chooses_and_code_goes_before_it() {
    if std::env::var_os(CHILD).is_some() {
        return tell();
    }
    let said = |choice| {
        let (is_well, text) = in_a_process("switch::the_environment_chooses_and_code_goes_before_it", choice);
        assert!(is_well && text.contains("then libtorch"), "{text}");
        text
    };
    assert!(said(Some("catena")).contains("it is catena; Ok(Catena)"));
    assert!(said(Some("libtorch")).contains("it is libtorch; Ok(Libtorch)"));
    assert!(said(None).contains("Ok(Auto)"));
    let wrong = said(Some("mkl"));
    assert!(
        wrong.contains(
            "CATENA_GEMM: `mkl` is nobody who multiplies matrices; there are `auto`, `libtorch` and `catena`"
        ),
        "{wrong}"
    );
}
