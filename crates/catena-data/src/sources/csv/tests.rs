use super::*;
use crate::Array;

const FLOWERS: &str = "length,width,kind,count\n1.5,0.5,rose,3\n2,,lily,-4\n";

fn write(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowers.csv");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn get(set: &Csv, index: u64, name: &str) -> Array {
    set.get(index, &mut Draws::new(Default::default(), index, 0)).unwrap().get(name).unwrap().clone()
}

#[test]
fn columns_have_their_types_and_classes_are_sorted() {
    let (_folder, path) = write(FLOWERS);
    let set = Csv::builder(&path)
        .floats("input", ["width", "length"])
        .missing("width", 7.0)
        .class("target", "kind")
        .integer("count", "count")
        .float("size", "length")
        .build()
        .unwrap();
    assert_eq!(set.len(), 2);
    assert_eq!(get(&set, 1, "input"), Array::from(vec![7.0_f32, 2.0]));
    assert_eq!((get(&set, 0, "target"), get(&set, 1, "target")), (1_i64.into(), 0_i64.into()));
    assert_eq!((get(&set, 1, "count"), get(&set, 0, "size")), ((-4_i64).into(), 1.5_f32.into()));
    assert!(set.origin(1).unwrap().ends_with("flowers.csv, line 3"));
    let error = set.classes("kind").unwrap_err().to_string();
    assert_eq!(error, "no array of classes is named `kind`; there are: target");
}

#[test]
fn classes_of_train_are_those_of_valid_and_an_unknown_one_is_an_error() {
    let (_folder, path) = write("kind\nlily\n");
    let valid = Csv::builder(&path).class_of("target", "kind", ["aster", "lily"]).build().unwrap();
    assert_eq!(get(&valid, 0, "target"), Array::from(1_i64));
    let error = Csv::builder(&path).class_of("target", "kind", ["aster", "rose"]).build().unwrap_err();
    let sentence = "flowers.csv, line 2, column `kind`: the class `lily` is unknown; there are: aster, rose";
    assert!(error.to_string().ends_with(sentence), "{error}");
    let error = Csv::builder(&path).class_of("target", "kind", ["lily", "lily"]).build().unwrap_err();
    assert!(error.to_string().contains("the class `lily` of `target` is given twice"), "{error}");
}

#[test]
fn other_delimiters_quotes_marks_and_line_ends_are_read() {
    let (_folder, path) = write("\u{feff}a;b\r\n\"1\";\"two\nlines\"\r\n\r\n 2 ;NA\r\n");
    let set = Csv::builder(&path).delimiter(b';').float("input", "a").class("target", "b").build().unwrap();
    assert_eq!(set.classes("target").unwrap(), ["NA", "two\nlines"]);
    assert_eq!(get(&set, 1, "input"), Array::from(2.0_f32));
    assert!(set.origin(1).unwrap().ends_with("line 5"), "{:?}", set.origin(1));
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_column() {
    let floats = |path: &PathBuf| Csv::builder(path).floats("input", ["length", "width"]);
    for (text, sentence) in [
        ("length,width\n1,2\n3\n", ", line 3: the row has 1 fields, but the first line names 2 columns"),
        ("length,width\n1,2,3\n", ", line 2: the row has 3 fields"),
        ("length,width\n1,NaN\n", ", line 2, column `width`: `NaN` is no finite number"),
        ("length,width\n1,2\n-inf,1\n", ", line 3, column `length`: `-inf` is no finite number"),
        ("length,width\n1,1e39\n", ", line 2, column `width`: `1e39` is no finite number"),
        ("length,width\n1,2x\n", ", line 2, column `width`: `2x` is no number"),
        ("length,width\n1,\n", ", line 2, column `width`: the value is missing, and no number stands for it"),
        ("length,width\n1,  \n", ", line 2, column `width`: the value is missing"),
        ("length,width\n", ": the file has no row"),
        ("", ": no column is named `length`; there are: "),
        ("length,breadth\n1,2\n", ": no column is named `width`; there are: length, breadth"),
        ("length,width,width\n1,2,3\n", ", line 1: two columns are named `width`"),
    ] {
        let (_folder, path) = write(text);
        let error = floats(&path).build().unwrap_err().to_string();
        assert!(error.contains(&format!("flowers.csv{sentence}")), "{sentence}: {error}");
    }
    let (_folder, path) = write(b"length,width\n1,2\n1,\xff\n");
    let error = floats(&path).build().unwrap_err().to_string();
    assert!(error.contains("flowers.csv, line 3: the text is not UTF-8"), "{error}");
    let error = floats(&path.with_file_name("none.csv")).build().unwrap_err().to_string();
    assert!(error.contains("none.csv: "), "{error}");
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    let (_folder, path) = write(FLOWERS);
    let new = || Csv::builder(&path);
    for (builder, sentence) in [
        (new(), "no column is asked for"),
        (new().floats("input", [] as [&str; 0]), "the array `input` has no column"),
        (new().float("a", "length").float("a", "length"), "two arrays are named `a`"),
        (new().class("target", "kind").missing("kind", 0.0), "no array of numbers has this column"),
        (new().float("a", "length").missing("width", 0.0), "no array of numbers has this column"),
        (new().float("a", "width").missing("width", f64::NAN), "NaN can't stand for missing values"),
        (new().float("a", "width").missing("width", 1e39), "can't stand for missing values"),
        (new().integer("a", "count").missing("count", 0.5), "0.5 can't stand for missing values"),
        (new().integer("a", "length"), "column `length`: `1.5` is no whole number"),
        (new().class("a", "width"), "line 3, column `width`: the value is missing"),
        (new().float("a", "count").missing_as(["3"]), "line 2, column `count`: the value is missing"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(sentence), "{sentence}: {error}");
    }
}
