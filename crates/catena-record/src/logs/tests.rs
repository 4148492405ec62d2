use super::*;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn it_is_cut_back_to_what_it_was_and_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    let mut log = LogFile::create(&path, b"").unwrap();
    log.line("one");
    let then = log.mark();
    assert_eq!(then.bytes, 4);
    log.line("two, which is never to have been");
    drop(log);
    assert!(read(&path).ends_with("been\n"), "what waits is written when it is dropped");
    let mut log = LogFile::go_on(&path, &then).unwrap();
    log.line("three");
    let then = log.mark();
    assert_eq!(read(&path), "one\nthree\n");
    drop(log);
    let mut log = LogFile::go_on(&path, &then).unwrap();
    log.line("four");
    log.write();
    assert_eq!(read(&path), "one\nthree\nfour\n");
    LogFile::create(&path, b"").unwrap();
    assert_eq!(read(&path), "");
}

#[test]
fn two_writers_that_append_lose_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("timing.jsonl");
    let (mut one, mut other) = (LogFile::append(&path).unwrap(), LogFile::append(&path).unwrap());
    for i in 0..3 {
        for (log, who) in [(&mut one, "one"), (&mut other, "other")] {
            log.line(&format!("{who} {i}"));
            log.write();
        }
    }
    assert_eq!(read(&path), "one 0\nother 0\none 1\nother 1\none 2\nother 2\n");
}

/// A log of 300 rows of which the mark has 200.
fn logged(path: &Path) -> Mark {
    let mut log = LogFile::create(path, b"").unwrap();
    let mut mark = log.mark();
    for row in 0..300 {
        if row == 200 {
            mark = log.mark();
        }
        log.line(&format!("{{\"row\":{row},\"value\":0.25,\"and\":\"some more of it\"}}"));
    }
    mark
}

#[test]
fn a_log_that_is_another_one_is_told_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mark = logged(&path);
    let text = read(&path);
    assert!(mark.check(&path).is_ok());
    let edits: [(&str, String); 5] = [
        ("was changed", text.replace('\n', "\r\n")),
        ("was changed", text.replace("\"row\":199", "\"row\":198")),
        ("was changed", format!("a line\n{text}")),
        ("has 100 bytes, but had", text[..100].to_owned()),
        ("has 0 bytes, but had", String::new()),
    ];
    for (told, edited) in edits {
        fs::write(&path, &edited).unwrap();
        let error = LogFile::go_on(&path, &mark).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} {told}", path.display())), "{error}");
        assert_eq!(read(&path), edited);
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(mark.check(&path), Err(Unlike::Gone)));
    fs::create_dir(&path).unwrap();
    assert!(matches!(mark.check(&path), Err(Unlike::Gone)));
}

#[test]
fn a_table_that_has_gained_columns_is_the_same_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train.csv");
    let mut log = LogFile::create(&path, b"a,b\n").unwrap().with_columns(2, b"a,b\n");
    log.line("1,\"x, y\"");
    let mark = log.mark();
    log.line("2,z");
    drop(log);
    fs::write(&path, "a,b,c\n1,\"x, y\",\n2,z,\n3,,0.5\n").unwrap();
    assert!(mark.check(&path).is_ok());
    let mut log = LogFile::go_on(&path, &mark).unwrap();
    log.line("2,w");
    log.write();
    assert_eq!(read(&path), "a,b\n1,\"x, y\"\n2,w\n");
    // another value in an old column
    fs::write(&path, "a,b,c\n1,\"x, z\",\n2,z,\n").unwrap();
    assert!(matches!(mark.check(&path), Err(Unlike::Edited { .. })));
}

#[test]
fn a_file_that_is_removed_replaced_or_shortened_while_it_grows_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train.csv");
    let other = dir.path().join("other");
    let ways: [(&str, &dyn Fn()); 3] = [
        ("was removed", &|| fs::remove_file(&path).unwrap()),
        ("was replaced", &|| {
            fs::write(&other, "somebody else's").unwrap();
            fs::rename(&other, &path).unwrap();
        }),
        ("was shortened", &|| fs::write(&path, "a\n").unwrap()),
    ];
    for (why, way) in ways {
        let warnings = crate::testing::warnings(|| {
            let mut log = LogFile::create(&path, b"a,b\n").unwrap();
            log.line("1,2");
            log.write();
            way();
            log.line("3,4");
            let mark = log.mark();
            assert_eq!(read(&path), "a,b\n3,4\n");
            assert!(mark.check(&path).is_ok());
        });
        assert!(warnings.len() == 1 && warnings[0].contains(why), "{warnings:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_gives_few_warnings_and_a_mark_says_what_is_lost() {
    let warnings = crate::testing::warnings(|| {
        let mut log = LogFile::create("/dev/full", b"").unwrap();
        log.line("one");
        log.write();
        for _ in 0..10_000 {
            log.line("more");
        }
        let mark = log.mark();
        assert_eq!((mark.bytes, mark.lost), (0, 4 + 50_000));
        log.line("even more");
        assert_eq!(log.mark().lost, 4 + 50_000 + 10);
        log.line(&"x".repeat(MOST));
        log.write();
        assert_eq!((log.buffer.len(), log.mark().lost), (0, 4 + 50_000 + 10 + MOST as u64 + 1));
    });
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("/dev/full can't be written: No space left"), "{warnings:?}");
    assert!(warnings[1].contains("are lost; its rows have a gap"), "{warnings:?}");
}

#[test]
fn what_waits_for_space_is_written_when_there_is_some() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = LogFile::create(&path, b"").unwrap();
    log.line("one");
    log.write();
    // a folder in its place can't be written, as a full disk can't
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let told = crate::testing::warnings(|| {
        log.line("two");
        log.write();
        assert!(log.waits());
        assert_eq!(log.mark().lost, 4);
        fs::remove_dir(&path).unwrap();
        log.line("three");
        assert_eq!(log.mark().lost, 0);
    });
    assert_eq!(read(&path), "two\nthree\n");
    assert!(told.iter().any(|told| told.contains("can't be written")), "{told:?}");
}
