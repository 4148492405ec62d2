mod cases;
use cases::{feed, fixture, parts, split, value};
use catena_callbacks::metrics::from_value;
#[test]
fn dump() {
    let fixture = fixture();
    for (case, seed) in fixture.cases.iter().zip(1u64..) {
        let parts = parts(&fixture.data[&case.data]);
        let mut metric = from_value(case.metric.clone()).unwrap();
        feed(metric.as_mut(), &parts);
        let bits = |v: Vec<f64>| {
            v.into_iter().map(|x| if x.is_nan() { 1 } else { x.to_bits() }).collect::<Vec<u64>>()
        };
        println!(
            "D {} {} {:?} {:?}",
            case.data,
            case.metric,
            bits(value(metric.as_ref())),
            bits(split(case, &parts, seed))
        );
    }
}
