//! Numbers of Pillow and torchvision.
use super::*;

#[test]
fn a_resized_image_is_within_1_of_pillows_and_the_nearest_pixels_are_the_same() {
    let cases = fixtures();
    let cases = cases["resized"].as_array().unwrap();
    assert_eq!(cases.len(), 84);
    for case in cases {
        let filter: Filter = case["filter"].as_str().unwrap().parse().unwrap();
        let picture = noise(numbers(&case["size"]), numbers(&case["seed"]));
        let out = resized(&picture, whole(picture.size()), numbers(&case["to"]), filter).unwrap();
        let apart = apart(out.pixels(), &numbers::<Vec<u8>>(&case["pixels"]));
        let most = if filter == Filter::Nearest { 0 } else { 1 };
        assert!(apart <= most, "{filter:?} {} {}: {apart}", case["size"], case["to"]);
    }
}

#[test]
fn a_part_is_resized_as_if_nothing_lay_around_it() {
    let picture = noise([40, 30, 3], 77);
    for case in fixtures()["cropped"].as_array().unwrap() {
        let [top, left, height, width] = numbers(&case["part"]);
        let part = Rect { top, left, height, width };
        let out = resized(&picture, part, numbers(&case["to"]), Filter::Bilinear).unwrap();
        let apart = apart(out.pixels(), &numbers::<Vec<u8>>(&case["pixels"]));
        assert!(apart <= 1, "{case}: {apart}");
    }
}

#[test]
fn the_shorter_side_and_the_middle_are_torchvisions() {
    let cases = fixtures();
    for case in cases["shorter"].as_array().unwrap() {
        let [height, width] = numbers(&case["size"]);
        let step = Resize::shorter(numbers(&case["shorter"]));
        let array = bytes(step, noise([height, width, 1], 5)).unwrap();
        assert_eq!(array.shape()[1..], numbers::<[usize; 2]>(&case["to"]), "{case}");
    }
    for case in cases["centres"].as_array().unwrap() {
        let ([height, width], [to_height, to_width]) = (numbers(&case["size"]), numbers(&case["to"]));
        let array = bytes(CenterCrop::new(to_height, to_width), noise([height, width, 1], 6)).unwrap();
        assert_eq!(array.as_slice::<u8>().unwrap(), numbers::<Vec<u8>>(&case["pixels"]), "{case}");
    }
}

#[test]
fn normalized_numbers_are_torchvisions_to_the_bit() {
    let case = &fixtures()["normalized"];
    let pixels = (0..=255_u8).flat_map(|byte| [byte; 3]).collect();
    let picture = Picture::new(pixels, [16, 16, 3]).unwrap();
    let (mean, std): (Vec<f32>, Vec<f32>) = (numbers(&case["mean"]), numbers(&case["std"]));
    let chain = ImageTransforms::builder().normalize(mean, std).build().unwrap();
    let array = chain.apply(picture, &mut draws(0)).unwrap();
    let bits: Vec<i32> =
        array.as_slice::<f32>().unwrap().iter().map(|number| number.to_bits().cast_signed()).collect();
    assert_eq!(bits, numbers::<Vec<i32>>(&case["bits"]));
}

#[test]
fn files_are_read_as_pillow_reads_them() {
    let files = fixtures();
    for (name, most) in [
        ("jpeg_0", 3),
        ("jpeg_2", 6),
        ("jpeg_progressive", 6),
        ("jpeg_grey", 3),
        ("jpeg_cmyk", 6),
        ("jpeg_turned", 3),
        ("png", 0),
        ("png_alpha", 0),
        ("png_grey", 0),
    ] {
        let file = &files["files"][name];
        let picture = Decode::new().bytes(&numbers::<Vec<u8>>(&file["bytes"])).unwrap();
        assert_eq!([picture.height, picture.width, 3], numbers::<[usize; 3]>(&file["size"]), "{name}");
        let apart = apart(picture.pixels(), &numbers::<Vec<u8>>(&file["pixels"]));
        assert!(apart <= most, "{name}: {apart}");
    }
    let luma = &files["luma"];
    let picture = noise(numbers(&luma["size"]), numbers(&luma["seed"]));
    let grey = Decode::new().grey().bytes(&png_of(&picture)).unwrap();
    assert_eq!(grey.pixels(), numbers::<Vec<u8>>(&luma["pixels"]));
}

#[test]
fn orientation_is_as_it_stands_unless_it_is_asked_for() {
    let file = &fixtures()["files"]["jpeg_turned"];
    let bytes: Vec<u8> = numbers(&file["bytes"]);
    let plain = Decode::new().bytes(&bytes).unwrap();
    let turned = Decode::new().oriented().bytes(&bytes).unwrap();
    assert_eq!((plain.size(), turned.size()), ([24, 40], [40, 24]));
    // Orientation 6: what stands in the first column, from below, is the first row.
    let column: Vec<u8> =
        (0..24).rev().flat_map(|row| plain.pixels[row * 120..row * 120 + 3].to_vec()).collect();
    assert_eq!(turned.pixels[..72], column);
}

#[test]
fn a_masks_numbers_are_the_places_in_its_palette() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["mask_2_bits", "mask_8_bits"] {
        let file = &fixtures()["files"][name];
        let path = folder.path().join("mask.png");
        std::fs::write(&path, numbers::<Vec<u8>>(&file["bytes"])).unwrap();
        let mask = read_mask(&path).unwrap();
        assert_eq!(mask.size().to_vec(), numbers::<Vec<usize>>(&file["size"]));
        assert_eq!(mask.pixels(), numbers::<Vec<u8>>(&file["pixels"]), "{name}");
    }
}

fn png_of(picture: &Picture) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(if picture.channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    encoder.write_header().unwrap().write_image_data(&picture.pixels).unwrap();
    bytes
}

#[test]
fn what_is_no_whole_image_or_too_large_is_refused() {
    let files = fixtures();
    let jpeg: Vec<u8> = numbers(&files["files"]["jpeg_turned"]["bytes"]);
    let png: Vec<u8> = numbers(&files["files"]["png"]["bytes"]);
    let mut bomb = png[..].to_vec();
    bomb[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let crc = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    for (bytes, sentence) in [
        (b"GIF89a..........".to_vec(), "no JPEG or PNG image"),
        (Vec::new(), "no JPEG or PNG image"),
        (jpeg[..jpeg.len() - 2].to_vec(), "the JPEG file is cut off"),
        (jpeg[..jpeg.len() / 2].to_vec(), "the JPEG file is cut off"),
        (jpeg[..3].to_vec(), "the JPEG file is cut off"),
        (png[..png.len() / 2].to_vec(), ""),
        (bomb, "50000 × 50000 pixels, more than the 178956970 that are allowed"),
    ] {
        let error = Decode::new().bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(sentence), "{sentence}: {error}");
    }
    let small = Decode::new().most_pixels(959);
    assert!(small.bytes(&png).unwrap_err().to_string().contains("40 × 24 pixels, more than the 959"));
    assert!(small.bytes(&jpeg).is_err() && Decode::new().most_pixels(960).bytes(&jpeg).is_ok());
    let path = tempfile::tempdir().unwrap().path().join("none.jpg");
    assert!(Decode::new().read(&path).unwrap_err().to_string().contains("none.jpg: "));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    for (bytes, sentence) in [(&png, "this one is Rgb of 8 bits"), (&jpeg, "no PNG file")] {
        std::fs::write(&path, bytes).unwrap();
        let error = read_mask(&path).unwrap_err().to_string();
        assert!(error.contains("mask.png: ") && error.contains(sentence), "{error}");
    }
}

/// That of PNG.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
