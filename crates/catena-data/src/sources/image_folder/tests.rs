use super::*;
use crate::Array;
use crate::sources::MaskedImages;

fn png(height: u32, width: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    let grey = pixels.len() == (height * width) as usize;
    encoder.set_color(if grey { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    bytes
}

/// A folder of these files; the text of each is its one pixel.
fn folder(files: &[(&str, u8)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, pixel) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, png(1, 1, &[*pixel])).unwrap();
    }
    root
}

fn plain() -> ImageTransforms {
    ImageTransforms::builder().bytes().build().unwrap()
}

fn build(root: &tempfile::TempDir) -> Result<ImageFolder> {
    ImageFolder::builder(root, plain()).build()
}

fn all(set: &impl Dataset, name: &str) -> Vec<Array> {
    let draws = |index| Draws::new(Default::default(), index, 0);
    (0..set.len())
        .map(|index| set.get(index, &mut draws(index)).unwrap().get(name).unwrap().clone())
        .collect()
}

#[test]
fn classes_and_images_stand_in_the_order_of_their_bytes_and_hidden_names_are_left_out() {
    let root = folder(&[
        ("b/z.png", 1),
        ("b/Y.PNG", 2),
        ("b/10.png", 3),
        ("b/9.png", 4),
        ("b/deep/er/x.jpeg", 5),
        ("B/one.png", 6),
        ("a-c/one.png", 7),
        ("a/one.png", 8),
        (".hidden/one.png", 9),
        (".ipynb_checkpoints/one.png", 9),
        ("a/.one.png", 9),
        ("a/.cache/one.png", 9),
        ("a/notes.txt", 9),
        ("loose.png", 9),
    ]);
    let set = build(&root).unwrap();
    assert_eq!(set.classes(), ["B", "a", "a-c", "b"]);
    let pixels: Vec<u8> = all(&set, "input").iter().map(|input| input.as_slice().unwrap()[0]).collect();
    assert_eq!(pixels, [6, 8, 7, 3, 4, 2, 5, 1]);
    let targets: Vec<i64> = all(&set, "target").iter().map(|target| target.as_slice().unwrap()[0]).collect();
    assert_eq!(targets, [0, 1, 2, 3, 3, 3, 3, 3]);
    assert!(set.origin(0).unwrap().ends_with("B/one.png"));
    assert!(set.origin(8).is_none() && set.get(8, &mut Draws::new(Default::default(), 8, 0)).is_err());
}

#[test]
fn valid_takes_the_numbers_of_train_and_an_unknown_class_is_an_error() {
    let root = folder(&[("cat/1.png", 1), ("fox/1.png", 2)]);
    let valid =
        |classes: &[&str]| ImageFolder::builder(&root, plain()).classes(classes.iter().copied()).build();
    let set = valid(&["ape", "cat", "dog", "fox"]).unwrap();
    assert_eq!(set.files().iter().map(|(_, class)| *class).collect::<Vec<_>>(), [1, 3]);
    let error = valid(&["ape", "cat"]).unwrap_err().to_string();
    assert!(error.ends_with("fox: the class `fox` is unknown; there are: ape, cat"), "{error}");
    let error = valid(&["cat", "fox", "cat"]).unwrap_err().to_string();
    assert_eq!(error, "the class `cat` is given twice");
}

#[test]
fn an_empty_folder_an_empty_class_and_what_is_not_read_are_errors_by_name() {
    let root = folder(&[]);
    assert!(build(&root).unwrap_err().to_string().contains("no folder of a class lies in it"));
    std::fs::create_dir_all(root.path().join("owl/.hidden")).unwrap();
    let error = build(&root).unwrap_err().to_string();
    assert!(error.contains("owl: the class has no image"), "{error}");
    std::fs::write(root.path().join("owl/1.webp"), "RIFF").unwrap();
    let error = build(&root).unwrap_err().to_string();
    assert!(error.contains("owl/1.webp: only JPEG and PNG images are read"), "{error}");
    let error = ImageFolder::builder(root.path().join("none"), plain()).build().unwrap_err().to_string();
    assert!(error.contains("none: "), "{error}");
    let root = folder(&[("owl/1.png", 1)]);
    std::fs::write(root.path().join("owl/1.png"), "no image").unwrap();
    let set = build(&root).unwrap();
    let error = set.get(0, &mut Draws::new(Default::default(), 0, 0)).unwrap_err().to_string();
    assert!(error.contains("owl/1.png: no JPEG or PNG image"), "{error}");
}

#[test]
fn links_are_followed_and_one_that_leads_back_or_nowhere_is_an_error() {
    let root = folder(&[("owl/1.png", 1), ("other/2.png", 2)]);
    std::os::unix::fs::symlink(root.path().join("other"), root.path().join("owl/more")).unwrap();
    assert_eq!(build(&root).unwrap().len(), 3);
    std::os::unix::fs::symlink(root.path().join("owl"), root.path().join("owl/round")).unwrap();
    let error = build(&root).unwrap_err().to_string();
    assert!(error.contains("owl/round: the link leads back"), "{error}");
    std::fs::remove_file(root.path().join("owl/round")).unwrap();
    std::os::unix::fs::symlink(root.path().join("nowhere"), root.path().join("owl/gone.png")).unwrap();
    let error = build(&root).unwrap_err().to_string();
    assert!(error.contains("owl/gone.png: "), "{error}");
}

#[test]
fn a_mask_stands_beside_its_image_and_one_without_the_other_is_an_error() {
    let images = folder(&[("a/1.png", 10), ("2.png", 20)]);
    let masks = folder(&[("a/1.png", 1), ("2.png", 2)]);
    let new = || MaskedImages::new(&images, &masks, plain());
    let set = new().unwrap();
    let targets = all(&set, "target");
    assert_eq!(targets[0], Array::from(vec![2_i64]).reshape([1, 1]).unwrap());
    assert_eq!(targets[1].as_slice::<i64>().unwrap(), [1]);
    assert_eq!(all(&set, "input")[1].as_slice::<u8>().unwrap(), [10; 3]);
    assert!(set.origin(0).unwrap().ends_with("2.png"));
    std::fs::write(masks.path().join("2.png"), png(1, 2, &[0, 0])).unwrap();
    let error = new().unwrap().get(0, &mut Draws::new(Default::default(), 0, 0)).unwrap_err().to_string();
    assert!(error.contains("2.png: the mask has height 1, width 2"), "{error}");
    std::fs::write(masks.path().join("3.png"), png(1, 1, &[0])).unwrap();
    assert!(new().unwrap_err().to_string().contains("3.png: the mask has no image"));
    std::fs::write(images.path().join("3.jpg"), "").unwrap();
    std::fs::write(images.path().join("3.png"), "").unwrap();
    assert!(new().unwrap_err().to_string().contains("3.png have one mask"));
    std::fs::remove_file(images.path().join("3.png")).unwrap();
    std::fs::write(images.path().join("4.jpg"), "").unwrap();
    assert!(new().unwrap_err().to_string().contains("4.jpg: the image has no mask: `4.png`"));
    let (none, empty) = (folder(&[]), folder(&[]));
    assert!(MaskedImages::new(&none, &empty, plain()).unwrap_err().to_string().contains("no image"));
    std::fs::write(masks.path().join("4.jpg"), "").unwrap();
    assert!(new().unwrap_err().to_string().contains("4.jpg: a mask is a file of the ending `.png`"));
}

#[test]
fn what_a_folder_says_of_itself_changes_with_its_files_classes_and_transforms_and_not_with_its_place() {
    let files = [("a/one.png", 1), ("b/two.png", 2)];
    let (first, second) = (folder(&files), folder(&files));
    let about = build(&first).unwrap().describe();
    assert_eq!(about, build(&second).unwrap().describe());

    let renamed = folder(&[("a/one.png", 1), ("b/three.png", 2)]);
    let differs = |other: Settings| {
        about
            .iter()
            .filter(|(name, value)| other.get(*name) != Some(value))
            .map(|(name, _)| name.clone())
            .collect()
    };
    let changed: Vec<String> = differs(build(&renamed).unwrap().describe());
    assert_eq!(changed, ["files_sha256"]);

    let flips = ImageTransforms::builder().with(crate::images::RandomHorizontalFlip::new()).bytes().build();
    let flips = ImageFolder::builder(&first, flips.unwrap()).build().unwrap();
    let changed: Vec<String> = differs(flips.describe());
    assert_eq!(changed, ["transforms"]);

    let turned = ImageFolder::builder(&first, plain()).classes(["b", "a"]).build().unwrap();
    let changed: Vec<String> = differs(turned.describe());
    assert_eq!(changed, ["classes"]);
}
