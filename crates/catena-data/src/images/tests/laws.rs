//! Laws of the chain: what is drawn, what stays aligned, what is refused.
use serde_json::json;

use super::*;

/// An image whose first channel is its mask.
fn pair(height: usize, width: usize) -> (Picture, Picture) {
    let mask = noise([height, width, 1], 3);
    let pixels = mask.pixels().iter().flat_map(|class| [*class, 255 - class, 7]).collect();
    (Picture::new(pixels, [height, width, 3]).unwrap(), mask)
}

#[test]
fn image_and_mask_are_changed_alike() {
    let chains = [
        ImageTransforms::builder().with(RandomCrop::new(5, 6).padding(3)),
        ImageTransforms::builder().with(RandomHorizontalFlip::new()).with(RandomVerticalFlip::new()),
        ImageTransforms::builder()
            .with(RandomVerticalFlip::new())
            .with(RandomHorizontalFlip::new())
            .with(RandomResizedCrop::new(6, 7).filter(Filter::Nearest))
            .with(RandomCrop::new(3, 4))
            .with(RandomHorizontalFlip::new())
            .with(CenterCrop::new(9, 2)),
    ];
    for chain in chains {
        let chain = chain.bytes().build().unwrap();
        let mut different = std::collections::BTreeSet::new();
        for sample in 0..50 {
            let (image, mask) = pair(9, 11);
            let (input, target) = chain.apply_with_mask(image.clone(), mask, &mut draws(sample)).unwrap();
            assert_eq!(input.shape()[1..], *target.shape());
            let plane = &input.as_slice::<u8>().unwrap()[..target.values().len()];
            let expected: Vec<i64> = plane.iter().map(|byte| i64::from(*byte)).collect();
            assert_eq!(target.as_slice::<i64>().unwrap(), expected);
            assert_eq!(chain.apply(image, &mut draws(sample)).unwrap(), input);
            different.insert(expected);
        }
        assert!(different.len() > 2, "{chain:?} draws");
    }
}

#[test]
fn crops_and_flips_that_are_noted_give_what_moved_pixels_give() {
    let (image, mask) = pair(7, 8);
    let mut noted = Frame::new(image.clone(), Some(mask.clone())).unwrap();
    let mut moved = Frame::new(image, Some(mask)).unwrap();
    let steps: [fn(&mut Frame); 6] = [
        |frame| frame.flip_horizontally(),
        |frame| frame.crop(Rect { top: 1, left: 2, height: 6, width: 5 }).unwrap(),
        |frame| frame.flip_vertically(),
        |frame| frame.crop(Rect { top: 2, left: 0, height: 4, width: 4 }).unwrap(),
        |frame| frame.flip_horizontally(),
        |frame| frame.crop(Rect { top: 0, left: 1, height: 3, width: 3 }).unwrap(),
    ];
    for step in steps {
        step(&mut noted);
        step(&mut moved);
        let (image, mask) = moved.finish();
        moved = Frame::new(image, mask).unwrap();
        assert_eq!(noted.clone().finish(), moved.clone().finish());
        let (image, _, seen, flipped) = noted.clone().parts();
        let array = output::array(&image, seen, flipped, &output::Output::Bytes, None).unwrap();
        let (image, _) = moved.clone().finish();
        let first: Vec<u8> = image.pixels().iter().step_by(3).copied().collect();
        assert_eq!(array.as_slice::<u8>().unwrap()[..first.len()], first);
    }
}

#[test]
fn a_resized_crop_keeps_to_its_scale_and_ratio_and_reaches_every_place() {
    let step = RandomResizedCrop::new(4, 4);
    let [height, width] = [375, 500];
    let mut edges = [false; 4];
    let (mut sum, mut below) = (0.0, 0);
    for sample in 0..4000 {
        let part = step.part([height, width], &mut draws(sample).of("RandomResizedCrop"));
        let share = (part.height * part.width) as f64 / (height * width) as f64;
        let ratio = part.width as f64 / part.height as f64;
        assert!((0.078..=1.0).contains(&share), "{part:?}");
        assert!((0.74..=1.345).contains(&ratio), "{part:?}");
        assert!(part.top + part.height <= height && part.left + part.width <= width, "{part:?}");
        sum += share;
        below += usize::from(ratio < 1.0);
        for (edge, reached) in edges.iter_mut().zip([
            part.top == 0,
            part.left == 0,
            part.top + part.height == height,
            part.left + part.width == width,
        ]) {
            *edge |= reached;
        }
    }
    assert_eq!(edges, [true; 4]);
    // Over 20,000 draws for this size, torchvision's gives a mean share of 0.435, and 41 % higher than wide.
    assert!((0.42..0.45).contains(&(sum / 4000.0)), "{}", sum / 4000.0);
    assert!((1550..1750).contains(&below), "{below}");
    // No part of these ratios lies in a line of pixels: the middle is taken.
    let middle = RandomResizedCrop::new(4, 4).scale(0.9, 1.0);
    let part = middle.part([10, 1000], &mut draws(1).of("RandomResizedCrop"));
    assert_eq!(part, Rect { top: 0, left: 493, height: 10, width: 13 });
    let part = middle.part([1000, 9], &mut draws(1).of("RandomResizedCrop"));
    assert_eq!(part, Rect { top: 494, left: 0, height: 12, width: 9 });
    assert_eq!(middle.part([1, 1], &mut draws(1).of("RandomResizedCrop")), whole([1, 1]));
}

#[test]
fn a_random_crop_reaches_the_first_and_the_last_place() {
    let places = (0..200).map(|sample| {
        let chain = ImageTransforms::builder().with(RandomCrop::new(1, 1)).bytes().build().unwrap();
        let picture = Picture::new((0..6).collect(), [2, 3, 1]).unwrap();
        chain.apply(picture, &mut draws(sample)).unwrap().as_slice::<u8>().unwrap()[0]
    });
    let mut counts = [0; 6];
    places.for_each(|place| counts[usize::from(place)] += 1);
    assert!(counts.iter().all(|count| *count > 15), "{counts:?}");
}

#[test]
fn padding_has_its_fill_in_image_and_mask() {
    let chain = ImageTransforms::builder().with(RandomCrop::new(5, 5).padding(2).fill(9).mask_fill(255));
    let picture = Picture::new(vec![1], [1, 1, 1]).unwrap();
    let chain = chain.bytes().build().unwrap();
    let (input, target) = chain.apply_with_mask(picture.clone(), picture, &mut draws(0)).unwrap();
    let expected: Vec<u8> = (0..25).map(|at| if at == 12 { 1 } else { 9 }).collect();
    assert_eq!(input.as_slice::<u8>().unwrap(), expected);
    let expected: Vec<i64> = (0..25).map(|at| if at == 12 { 1 } else { 255 }).collect();
    assert_eq!(target.as_slice::<i64>().unwrap(), expected);
}

#[test]
fn erasing_writes_one_part_of_the_finished_array_and_leaves_the_mask() {
    let chain = ImageTransforms::builder().erase(RandomErasing::new().p(1.0).value(-5.0)).build().unwrap();
    let (image, mask) = pair(20, 30);
    let plain = ImageTransforms::builder().build().unwrap().apply(image.clone(), &mut draws(0)).unwrap();
    let (mut least, mut greatest) = (600, 0);
    for sample in 0..200 {
        let (input, target) = chain.apply_with_mask(image.clone(), mask.clone(), &mut draws(sample)).unwrap();
        let (numbers, plain) = (input.as_slice::<f32>().unwrap(), plain.as_slice::<f32>().unwrap());
        let erased: Vec<usize> = (0..600).filter(|at| numbers[*at] == -5.0).collect();
        let rows = erased.iter().map(|at| at / 30).collect::<std::collections::BTreeSet<_>>().len();
        let columns = erased.iter().map(|at| at % 30).collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(erased.len(), rows * columns);
        for at in 0..1800 {
            let expected = if erased.contains(&(at % 600)) { -5.0 } else { plain[at] };
            assert_eq!(numbers[at], expected);
        }
        let classes: Vec<i64> = mask.pixels().iter().map(|class| i64::from(*class)).collect();
        assert_eq!(target.as_slice::<i64>().unwrap(), classes);
        (least, greatest) = (least.min(erased.len()), greatest.max(erased.len()));
    }
    assert!((6..40).contains(&least) && (141..=225).contains(&greatest), "{least}, {greatest}");
    let never = ImageTransforms::builder().erase(RandomErasing::new().p(0.0)).build().unwrap();
    assert_eq!(never.apply(image, &mut draws(0)).unwrap(), plain);
}

#[test]
fn a_chain_says_what_it_is() {
    let chain = ImageTransforms::builder()
        .with(RandomResizedCrop::new(224, 192).scale(0.5, 1.0))
        .with(RandomHorizontalFlip::new().p(0.25))
        .normalize([0.5], [0.25])
        .erase(RandomErasing::new());
    assert_eq!(
        chain.build().unwrap().describe(),
        json!([
            { "name": "RandomResizedCrop", "size": [224, 192], "scale": [0.5, 1.0], "ratio": [0.75, 4.0 / 3.0], "filter": "bilinear" },
            { "name": "RandomHorizontalFlip", "p": 0.25 },
            { "name": "Normalize", "mean": [0.5], "std": [0.25] },
            { "name": "RandomErasing", "p": 0.5, "scale": [0.02, 0.33], "ratio": [0.3, 3.3], "value": 0.0 },
        ])
    );
}

#[test]
fn settings_that_cannot_be_meant_are_refused_by_name() {
    let new = ImageTransforms::builder;
    for (builder, sentence) in [
        (new().with(Resize::new(0, 4)), "Resize: the size [0, 4]"),
        (new().with(Resize::shorter(usize::MAX)), "Resize: the size"),
        (new().with(CenterCrop::new(4, 0)), "CenterCrop: the size"),
        (new().with(RandomCrop::new(4, 4).padding(usize::MAX)), "RandomCrop: a padding"),
        (new().with(RandomResizedCrop::new(4, 4).scale(0.5, 0.1)), "RandomResizedCrop: `scale`"),
        (new().with(RandomResizedCrop::new(4, 4).ratio(0.0, 1.0)), "RandomResizedCrop: `ratio`"),
        (new().with(RandomResizedCrop::new(4, 4).scale(f64::NAN, 1.0)), "RandomResizedCrop: `scale`"),
        (new().with(RandomHorizontalFlip::new().p(1.5)), "RandomHorizontalFlip: `p` is 1.5"),
        (new().with(RandomVerticalFlip::new().p(f64::NAN)), "RandomVerticalFlip: `p` is NaN"),
        (new().normalize([0.5; 3], [0.5]), "Normalize: 3 means and 1 stds"),
        (new().normalize([0.5; 2], [0.5; 2]), "Normalize: 2 means"),
        (new().normalize([0.5], [0.0]), "Normalize: a std of 0"),
        (new().normalize([f32::NAN], [1.0]), "Normalize: NaN"),
        (new().normalize([0.5], [0.5]).bytes(), "leave one of them out"),
        (new().erase(RandomErasing::new().scale(0.5, 1.5)), "RandomErasing: `scale`"),
        (new().erase(RandomErasing::new().value(f32::INFINITY)), "RandomErasing: `value`"),
        (new().bytes().erase(RandomErasing::new().value(0.5)), "RandomErasing: `value` is 0.5"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(sentence), "{sentence}: {error}");
    }
}

#[test]
fn images_that_do_not_fit_are_errors() {
    let picture = noise([4, 5, 1], 1);
    let error = bytes(RandomCrop::new(5, 5), picture.clone()).unwrap_err().to_string();
    assert!(
        error.contains("RandomCrop: the part of height 5 and width 5 is larger than the image"),
        "{error}"
    );
    let line = noise([1, 60_000, 1], 1);
    let error = bytes(Resize::shorter(4096), line).unwrap_err().to_string();
    assert!(error.contains("Resize: an image of height 4096 and width 245760000 was asked for"), "{error}");
    let chain = ImageTransforms::builder().normalize([0.5; 3], [0.5; 3]).build().unwrap();
    let error = chain.apply(picture.clone(), &mut draws(0)).unwrap_err().to_string();
    assert!(error.contains("Normalize: 3 means were given, but the image has 1 channels"), "{error}");
    let error = Frame::new(picture.clone(), Some(noise([5, 4, 1], 1))).unwrap_err().to_string();
    assert!(error.contains("a mask has its image's size and 1 channel"), "{error}");
    let mut frame = Frame::new(picture, None).unwrap();
    for part in [(0, 0, 0, 1), (4, 0, 1, 1), (0, 1, 1, 5), (usize::MAX, 0, 2, 1)] {
        let (top, left, height, width) = part;
        assert!(frame.crop(Rect { top, left, height, width }).is_err(), "{part:?}");
    }
}
