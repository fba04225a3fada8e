use std::io::Cursor;

use super::*;

fn texts(file: &[u8]) -> Vec<(u64, Result<String, Wrong>)> {
    // A reader that hands out little at a time.
    let mut source = Source::of(BufReader::with_capacity(7, file));
    let mut texts = Vec::new();
    while let Some(text) = source.next().unwrap() {
        texts.push((text.line, text.text.map(str::to_owned)));
    }
    texts
}

fn lines(file: &str) -> Vec<(u64, String)> {
    texts(file.as_bytes())
        .into_iter()
        .map(|(line, text)| (line, text.unwrap()))
        .collect()
}

#[test]
fn a_line_that_is_no_text_or_too_long_is_one_and_not_the_file() {
    assert_eq!(texts(b"{}\n\xff\n{}")[1], (2, Err(Wrong::NotText)));
    let long = io::repeat(b'x').take(TEXT_BYTES_MAX as u64 + 1);
    let file = Cursor::new(b"{}\n").chain(long).chain(Cursor::new(b"\n{\"a\": 1}"));
    let mut source = Source::of(BufReader::new(file));
    assert!(source.next().unwrap().unwrap().text.is_ok());
    assert_eq!(
        source.next().unwrap().unwrap().text,
        Err(Wrong::TooLong { most: TEXT_BYTES_MAX })
    );
    let last = source.next().unwrap().unwrap();
    assert_eq!((last.line, last.text), (3, Ok("{\"a\": 1}")));
    assert!(source.buffer.capacity() <= 2 * TEXT_BYTES_MAX);
}

#[test]
fn lines_are_told_apart_and_counted() {
    assert_eq!(lines(""), []);
    assert_eq!(lines("\n \n"), []);
    assert_eq!(
        lines("{}\n\n{\"a\":1}\n"),
        [(1, "{}".to_owned()), (3, "{\"a\":1}".to_owned())]
    );
    assert_eq!(
        lines("\u{feff}{}\r\n{}"),
        [(1, "{}\r".to_owned()), (2, "{}".to_owned())]
    );
}

#[test]
fn one_document_of_several_lines_is_one_text_but_a_torn_first_line_is_not() {
    assert_eq!(lines("{\n  \"a\": 1\n}\n"), [(1, "{\n  \"a\": 1\n}\n".to_owned())]);
    assert_eq!(lines("{ \"a\":\n1}"), [(1, "{ \"a\":\n1}\n".to_owned())]);
    assert_eq!(
        lines("{\"a\": \n{\"b\": 1}"),
        [(1, "{\"a\": ".to_owned()), (2, "{\"b\": 1}".to_owned())]
    );
    assert_eq!(
        lines("{\"a\": \"torn\nin two\"}\n{\"b\": 1}\n{\"c\": 1}"),
        [
            (1, "{\"a\": \"torn\nin two\"}\n".to_owned()),
            (3, "{\"b\": 1}".to_owned()),
            (4, "{\"c\": 1}".to_owned())
        ]
    );
    assert_eq!(lines("{\"a\": "), [(1, "{\"a\": ".to_owned())]);
}

#[test]
fn a_document_that_is_too_long_is_told_and_not_held() {
    let file = Cursor::new(b"{\n")
        .chain(io::repeat(b' ').take(TEXT_BYTES_MAX as u64))
        .chain(Cursor::new(b"\n}"));
    let mut source = Source::of(BufReader::new(file));
    assert_eq!(
        source.next().unwrap().unwrap().text,
        Err(Wrong::TooLong { most: TEXT_BYTES_MAX })
    );
    assert!(source.next().unwrap().is_none());
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut encoder, text).unwrap();
    encoder.finish().unwrap()
}

fn read(file: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    unpacked(file)?.read_to_string(&mut text).map(|_| text)
}

#[test]
fn compressed_files_are_told_by_their_first_bytes() {
    let zstd = zstd::stream::encode_all(&b"hello"[..], 1).unwrap();
    assert_eq!(read(b"hello").unwrap(), "hello");
    assert_eq!(read(&gzip(b"hello")).unwrap(), "hello");
    assert_eq!(
        read(&[gzip(b"hel"), gzip(b"lo")].concat()).unwrap(),
        "hello",
        "several members one after the other"
    );
    assert_eq!(read(&zstd).unwrap(), "hello");
    assert_eq!(read(b"").unwrap(), "");
}

#[test]
fn a_compressed_file_that_is_torn_or_asks_for_too_much_memory_cannot_be_read_on() {
    let text: String = (0..10_000).map(|number| number.to_string()).collect();
    let whole = gzip(text.as_bytes());
    assert!(read(&whole[..whole.len() / 2]).is_err());
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(ZSTD_WINDOW_LOG_MAX + 1).unwrap();
    io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    assert!(read(&encoder.finish().unwrap()).is_err());
}
