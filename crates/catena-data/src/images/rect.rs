//! Parts of images.
use super::picture::Picture;

/// A part of an image, in pixels from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "what each is stands above")]
pub struct Rect {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

/// The rows of a part.
pub(super) fn lines(picture: &Picture, part: Rect) -> impl DoubleEndedIterator<Item = &[u8]> {
    let each = picture.channels;
    let rows = picture.pixels.chunks_exact(picture.width * each);
    let rows = rows.skip(part.top).take(part.height);
    rows.map(move |row| &row[part.left * each..(part.left + part.width) * each])
}
