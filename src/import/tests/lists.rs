//! Bloctel's three forms and plain lists.

use super::*;

#[test]
fn bloctel_s_answer_opposes_the_lines_whose_status_is_not_ok() {
    for text in [
        "0612345601;a;OK\n0612345602;b;OPPOSE\n+33 6 12 34 56 03;c;ok\n0612345604;d;\n",
        "number,id,status\n0612345601,a,OK\n0612345602,b,KO\n0612345603,c,OK\n0612345604,d,KO\n",
        "\u{feff}Statut\tTéléphone\r\nOK\t0612345601\r\nNOK\t0612345602\r\nOK\t33612345603\r\n\"N;OK\"\t0612345604\r\n",
        "Numéro;Référence;Retour\n0612345601;;OK\n0612345602;;x\n0612345603;;OK\n0612345604;;x",
    ] {
        let read = read(Kind::Bloctel, text);
        assert_eq!(
            listed(&read, &[1, 2, 3, 4, 5]),
            [CLEAR, OPPOSED, CLEAR, OPPOSED, None],
            "{text}"
        );
        let batch = read.batch.unwrap();
        assert_eq!(batch.counts, [("screened", 4), ("opposed", 2), ("clear", 2)]);
        assert_eq!(
            (batch.siren, batch.rejected, batch.snapshot.unwrap().day),
            (None, 0, day("2023-06-06"))
        );
    }
}

#[test]
fn a_plain_bloctel_list_is_the_opposed() {
    for text in [
        "0612345601\n0612345602\n",
        "numero\n0612345601\n+33612345602\n",
        "whatever it is called\n0612345601;\n0612345602;\n",
        "name,phone\nA,0612345601\nB,0612345602\n",
    ] {
        let read = read_with(Kind::Bloctel, text.as_bytes(), Some("acme"), None, false);
        assert_eq!(listed(&read, &[1, 2, 3]), [OPPOSED, OPPOSED, None], "{text}");
        let batch = read.batch.unwrap();
        assert_eq!((batch.siren, batch.counts), (Some(ACME), vec![("opposed", 2)]));
    }
}

#[test]
fn what_was_sent_and_did_not_come_back_is_opposed() {
    let sent = b"number;name\n0612345601;A\n0612345602;B\n06 12 34 56 03;C\n";
    for back in [
        "0612345601\n+33612345603\n",
        "number;name;city\n0612345603;C;Paris\n0612345601;A;Lyon\n",
    ] {
        let read = read_with(Kind::Bloctel, back.as_bytes(), Some("acme"), Some(sent), false);
        assert_eq!(listed(&read, &[1, 2, 3, 4]), [CLEAR, OPPOSED, CLEAR, None], "{back}");
        assert_eq!(
            read.batch.unwrap().counts,
            [("screened", 3), ("opposed", 1), ("clear", 2)]
        );
    }
    let read = read_with(Kind::Bloctel, b"0612345601\n0612345699\n", None, Some(sent), false);
    assert_eq!(
        read.rejected[0].reason,
        "number: expected a number of the submitted file, found \"0612345699\""
    );
    assert_eq!(listed(&read, &[1, 2, 3, 99]), [CLEAR, OPPOSED, OPPOSED, None]);
}

#[test]
fn a_status_answers_for_what_was_sent_and_what_it_leaves_out_is_opposed() {
    let sent = b"0612345601\n0612345602\n0612345603\n";
    let read = read_with(
        Kind::Bloctel,
        b"0612345601;1;OK\n0612345602;2;KO\n",
        None,
        Some(sent),
        false,
    );
    assert_eq!(listed(&read, &[1, 2, 3]), [CLEAR, OPPOSED, OPPOSED]);
}

#[test]
fn a_rejected_line_of_the_submitted_file_says_so() {
    let read = read_with(
        Kind::Bloctel,
        b"0612345601\n",
        None,
        Some(b"0612345601\nx\n0612345602\n"),
        false,
    );
    assert_eq!(read.rejected.len(), 1);
    assert!(
        read.rejected[0].reason.starts_with("submitted file: number: "),
        "{}",
        read.rejected[0].reason
    );
}

#[test]
fn an_import_that_would_oppose_none_or_all_of_what_was_sent_stops_unless_forced() {
    let none = "0612345601;;OK\n0612345602;;OK\n";
    let all = "0612345601;;KO\n0612345602;;KO\n";
    assert!(matches!(
        read(Kind::Bloctel, none).batch,
        Err(ImportError::NoneOpposed { sent: 2 })
    ));
    assert!(matches!(
        read(Kind::Bloctel, all).batch,
        Err(ImportError::AllOpposed { sent: 2 })
    ));
    let sent = Some(&b"0612345601\n0612345602\n"[..]);
    let back = read_with(Kind::Bloctel, b"0612345601\n0612345602\n", None, sent, false);
    assert!(matches!(back.batch, Err(ImportError::NoneOpposed { sent: 2 })));
    let nothing_back = read_with(Kind::Bloctel, b"", None, sent, false);
    assert!(matches!(nothing_back.batch, Err(ImportError::AllOpposed { sent: 2 })));
    for (text, expected) in [(none, CLEAR), (all, OPPOSED)] {
        let forced = read_with(Kind::Bloctel, text.as_bytes(), None, None, true);
        assert_eq!(listed(&forced, &[1, 2]), [expected, expected]);
    }
}

#[test]
fn a_number_opposed_on_one_line_of_an_answer_is_opposed() {
    let read = read(
        Kind::Bloctel,
        "0612345601;;OK\n0612345601;;KO\n0612345601;;OK\n0612345602;;OK\n",
    );
    assert_eq!(listed(&read, &[1, 2]), [OPPOSED, CLEAR]);
}

#[test]
fn an_opposition_file_is_a_number_a_line() {
    let read = read(
        Kind::Opposition,
        "numero\n0612345601\n\n tel:+33-6-12-34-56-02 \n3949\n06123\n",
    );
    assert_eq!(listed(&read, &[1, 2]), [OPPOSED, OPPOSED]);
    let reasons: Vec<_> = read.rejected.iter().map(|r| (r.line, &*r.reason, &*r.text)).collect();
    assert_eq!(
        reasons,
        [
            (
                5,
                "number: expected a subscriber number, no short one, found \"3949\"",
                "3949"
            ),
            (
                6,
                "number: expected a telephone number (5 digits are no number of the plan), found \"06123\"",
                "06123"
            ),
        ]
    );
    assert_eq!(read.batch.unwrap().counts, [("opposed", 2)]);
}

#[test]
fn lists_of_an_unknown_layout_are_refused() {
    for (kind, text) in [
        (Kind::Bloctel, "0612345601;KO\n"),
        (Kind::Bloctel, "a;b;c;d\n0612345601;x;y;z\n"),
        (Kind::Opposition, "0612345601;x\n"),
        (Kind::Opposition, "name;city\nA;Paris\n"),
    ] {
        assert!(
            matches!(read(kind, text).batch, Err(ImportError::Header { .. })),
            "{text}"
        );
    }
    let unknown = read_with(Kind::Bloctel, b"0612345601", Some("nobody"), None, false);
    assert!(matches!(unknown.batch, Err(ImportError::UnknownProfessional(id)) if id == "nobody"));
    let submitted = read_with(Kind::Opposition, b"0612345601", None, Some(b""), false);
    assert!(matches!(submitted.batch, Err(ImportError::Submitted)));
}

#[test]
fn an_empty_list_loads_nothing() {
    for (kind, text) in [
        (Kind::Bloctel, ""),
        (Kind::Bloctel, "numero\n"),
        (Kind::Opposition, "\n\n"),
        (Kind::Opposition, "n\nx\n"),
    ] {
        let batch = read(kind, text).batch.unwrap();
        assert!(batch.is_empty(), "{text}");
    }
}
