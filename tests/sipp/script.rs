//! SIPp scenarios, written step by step: what a caller or a callee sends and waits for. Where they lie and by which transport they
//! speak is filled in when they run (`%VIA%`, `%CALLER%`, `%CALLEE%`), so that one scenario serves every transport.

use std::fmt::Write as _;

/// One side of a call.
#[derive(Clone)]
pub struct Script {
    steps: String,
    side: Side,
    /// Of the last request sent.
    cseq: u32,
    /// Of the last INVITE sent.
    invite: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Caller,
    Callee,
}

/// One codec, which is an offer and an answer.
pub const SDP: &str = "v=0\no=agent 53655765 2353687637 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\n\
                       t=0 0\nm=audio [media_port] RTP/AVP 8\na=rtpmap:8 PCMA/8000\n";

/// The caller: the PBX of a call to the carrier.
pub fn caller() -> Script {
    Script::of(Side::Caller)
}

/// The callee: the carrier's line.
pub fn callee() -> Script {
    Script::of(Side::Callee)
}

impl Script {
    fn of(side: Side) -> Self {
        Self {
            steps: String::new(),
            side,
            cseq: 0,
            invite: 0,
        }
    }

    /// As SIPp reads it.
    pub fn xml(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"call\">\n{}</scenario>\n",
            self.steps
        )
    }

    /// Nothing for so many milliseconds.
    pub fn pause(mut self, milliseconds: u32) -> Self {
        let _ = writeln!(self.steps, "<pause milliseconds=\"{milliseconds}\"/>");
        self
    }

    /// Still answers repeated requests for so many milliseconds.
    pub fn linger(mut self, milliseconds: u32) -> Self {
        let _ = writeln!(self.steps, "<timewait milliseconds=\"{milliseconds}\"/>");
        self
    }

    /// A response, which must come.
    pub fn receive(mut self, status: u16) -> Self {
        let _ = writeln!(self.steps, "<recv response=\"{status}\"/>");
        self
    }

    /// A response that may come.
    pub fn may_receive(mut self, status: u16) -> Self {
        let _ = writeln!(self.steps, "<recv response=\"{status}\" optional=\"true\"/>");
        self
    }

    /// The first response that makes a dialog: requests within it go by its Contact and Record-Route.
    pub fn establish(mut self, status: u16) -> Self {
        let _ = writeln!(self.steps, "<recv response=\"{status}\" rrs=\"true\"/>");
        self
    }

    /// As [`Script::establish`], each of those headers as the expression says; `""`: the whole message.
    pub fn establish_where(self, status: u16, headers: &[(&str, &str)]) -> Self {
        self.receive_checked(status, " rrs=\"true\"", headers)
    }

    /// A response, each of those headers as the expression says.
    pub fn receive_where(self, status: u16, headers: &[(&str, &str)]) -> Self {
        self.receive_checked(status, "", headers)
    }

    fn receive_checked(mut self, status: u16, attribute: &str, headers: &[(&str, &str)]) -> Self {
        let _ = writeln!(self.steps, "<recv response=\"{status}\"{attribute}>");
        self.check(headers);
        self.steps.push_str("</recv>\n");
        self.refer(headers.len());
        self
    }

    /// A request within the call, or its ACK.
    pub fn expect(mut self, method: &str) -> Self {
        let _ = writeln!(self.steps, "<recv request=\"{method}\"/>");
        self
    }

    /// A request within the call, each of those headers as the expression says; `""`: the whole message.
    pub fn expect_where(mut self, method: &str, headers: &[(&str, &str)]) -> Self {
        let _ = writeln!(self.steps, "<recv request=\"{method}\">");
        self.check(headers);
        self.steps.push_str("</recv>\n");
        self.refer(headers.len());
        self
    }

    /// An ACK that may have been lost.
    pub fn may_expect_ack(mut self) -> Self {
        self.steps.push_str("<recv request=\"ACK\" optional=\"true\"/>\n");
        self
    }

    fn check(&mut self, headers: &[(&str, &str)]) {
        self.steps.push_str("<action>\n");
        self.expressions(headers);
        self.steps.push_str("</action>\n");
    }

    fn expressions(&mut self, headers: &[(&str, &str)]) {
        for (at, (header, expression)) in headers.iter().enumerate() {
            let expression = expression
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;");
            let place = match *header {
                "" => "search_in=\"msg\"".to_owned(),
                header => format!("search_in=\"hdr\" header=\"{header}:\""),
            };
            let _ = writeln!(
                self.steps,
                "<ereg regexp=\"{expression}\" {place} check_it=\"true\" assign_to=\"seen{at}\"/>"
            );
        }
    }

    /// SIPp wants every variable to be used.
    fn refer(&mut self, count: usize) {
        for at in 0..count {
            let _ = writeln!(self.steps, "<Reference variables=\"seen{at}\"/>");
        }
    }

    fn send(&mut self, message: &str, repeated: bool) {
        let repeated = if repeated { " retrans=\"500\"" } else { "" };
        let _ = writeln!(self.steps, "<send{repeated}><![CDATA[\n{message}\n]]></send>");
    }

    /// An INVITE that opens a call, with more headers, each with its line end.
    pub fn invite(mut self, headers: &str, body: &str) -> Self {
        self.cseq += 1;
        self.invite = self.cseq;
        let message = format!(
            "INVITE sip:[callee]@[remote_ip]:[remote_port] SIP/2.0\nVia: %VIA%;branch=[branch];rport%ALIAS%\n\
             From: \"Agent\" <sip:[caller]@[local_ip]>;tag=[pid]f[call_number]\nTo: <sip:[callee]@[remote_ip]:[remote_port]>\n\
             Call-ID: [call_id]\nCSeq: {} INVITE\nContact: <sip:agent@%CALLER%>\nMax-Forwards: 70\n{headers}{}",
            self.cseq,
            content(body)
        );
        self.send(&message, true);
        self
    }

    /// The ACK of a 2xx.
    pub fn ack(mut self, body: &str) -> Self {
        let message = self.within("ACK", self.invite, "", body);
        self.send(&message, false);
        self
    }

    /// A request within the call.
    pub fn request(mut self, method: &str, headers: &str, body: &str) -> Self {
        self.cseq += 1;
        if method == "INVITE" {
            self.invite = self.cseq;
        }
        let message = self.within(method, self.cseq, headers, body);
        self.send(&message, true);
        self
    }

    fn within(&self, method: &str, number: u32, headers: &str, body: &str) -> String {
        let (uri, from, to, contact) = match self.side {
            Side::Caller => (
                "[next_url]",
                "From: \"Agent\" <sip:[caller]@[local_ip]>;tag=[pid]f[call_number]",
                "[last_To:]",
                "agent@%CALLER%",
            ),
            Side::Callee => (
                "[$contact]",
                "From: <[$callee]>;tag=[pid]t[call_number]",
                "To: <[$caller]>;tag=[$theirs]",
                "line@%CALLEE%",
            ),
        };
        format!(
            "{method} {uri} SIP/2.0\nVia: %VIA%;branch=[branch];rport\n[routes]\n{from}\n{to}\nCall-ID: [call_id]\n\
             CSeq: {number} {method}\nContact: <sip:{contact}>\nMax-Forwards: 70\n{headers}{}",
            content(body)
        )
    }

    /// The ACK of an answer from 300 on, and CANCEL: of the INVITE's own hop.
    pub fn hop(mut self, method: &str) -> Self {
        let to = if method == "ACK" {
            "[last_To:]"
        } else {
            "To: <sip:[callee]@[remote_ip]:[remote_port]>"
        };
        let message = format!(
            "{method} sip:[callee]@[remote_ip]:[remote_port] SIP/2.0\n[last_Via:]\n\
             From: \"Agent\" <sip:[caller]@[local_ip]>;tag=[pid]f[call_number]\n{to}\nCall-ID: [call_id]\nCSeq: {} {method}\n\
             Max-Forwards: 70\n{}",
            self.invite,
            content("")
        );
        self.send(&message, method == "CANCEL");
        self
    }

    /// BYE, answered.
    pub fn hang_up(self) -> Self {
        self.request("BYE", "", "").receive(200)
    }

    /// The other side's BYE, answered.
    pub fn expect_bye(self) -> Self {
        self.expect("BYE").answer_within(200, "", false)
    }

    /// CANCEL, after which the call ends with 487.
    pub fn give_up(self) -> Self {
        self.hop("CANCEL").receive(200).receive(487).hop("ACK")
    }

    /// The caller's CANCEL, after which the call ends with 487.
    pub fn expect_cancel(self) -> Self {
        let cancelled = self.expect("CANCEL").answer_cancel();
        cancelled.answer_call(487, "").expect("ACK")
    }

    /// The 200 to the INVITE that came last and opens the call, acknowledged.
    pub fn pick_up(self) -> Self {
        self.answer_with(200, "", SDP).expect("ACK")
    }

    /// A re-INVITE with this offer, accepted by the other side.
    pub fn offer(self, body: &str) -> Self {
        let offered = self.request("INVITE", "", body).may_receive(100);
        offered.receive(200).ack("")
    }

    /// The 200 to a re-INVITE, acknowledged.
    pub fn accept(self) -> Self {
        self.answer_within(200, SDP, true).expect("ACK")
    }

    /// The INVITE that opens the call: what answers and requests of the callee's need of it is kept.
    pub fn expect_call(self) -> Self {
        self.expect_call_where(&[])
    }

    /// As [`Script::expect_call`], each of those headers as the expression says.
    pub fn expect_call_where(mut self, headers: &[(&str, &str)]) -> Self {
        self.steps
            .push_str("<recv request=\"INVITE\" rrs=\"true\">\n<action>\n");
        self.expressions(headers);
        for (expression, header, occurrence, names) in [
            (".*", "Via", 1, "via1"),
            (".*", "Via", 2, "via2"),
            (".*", "To", 1, "to"),
            (".*", "CSeq", 1, "cseq"),
            (".*", "Record-Route", 1, "record"),
            ("tag=([^;]*)", "From", 1, "all,theirs"),
            ("sip:[^&gt;]*", "From", 1, "caller"),
            ("sip:[^&gt;]*", "To", 1, "callee"),
            ("sip:[^&gt;]*", "Contact", 1, "contact"),
        ] {
            let _ = writeln!(
                self.steps,
                "<ereg regexp=\"{expression}\" search_in=\"hdr\" header=\"{header}:\" occurrence=\"{occurrence}\" assign_to=\"{names}\"/>"
            );
        }
        self.steps.push_str(
            "</action>\n</recv>\n<Reference variables=\"via1,via2,to,cseq,record,all,theirs,caller,callee,contact\"/>\n",
        );
        self.refer(headers.len());
        self
    }

    /// A response to the request that came last.
    pub fn answer(self, status: u16) -> Self {
        self.answer_with(status, "", "")
    }

    /// As [`Script::answer`], with more headers and a body.
    pub fn answer_with(mut self, status: u16, headers: &str, body: &str) -> Self {
        let tag = if status > 100 { ";tag=[pid]t[call_number]" } else { "" };
        let message = format!(
            "SIP/2.0 {status} Whatever\n[last_Via:]\n[last_From:]\n[last_To:]{tag}\n[last_Call-ID:]\n[last_CSeq:]\n\
             [last_Record-Route:]\nContact: <sip:line@%CALLEE%>\n{headers}{}",
            content(body)
        );
        self.send(&message, status >= 200);
        self
    }

    /// A response to a request within the call, whose To has its tag.
    pub fn answer_within(mut self, status: u16, body: &str, repeated: bool) -> Self {
        let contact = if self.side == Side::Caller {
            "agent@%CALLER%"
        } else {
            "line@%CALLEE%"
        };
        let message = format!(
            "SIP/2.0 {status} Whatever\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n\
             Contact: <sip:{contact}>\n{}",
            content(body)
        );
        self.send(&message, repeated);
        self
    }

    /// A response to a CANCEL, which ends at this hop.
    pub fn answer_cancel(self) -> Self {
        self.answer_within(200, "", false)
    }

    /// A response to the INVITE that opened the call, after other requests have come.
    pub fn answer_call(mut self, status: u16, body: &str) -> Self {
        let message = format!(
            "SIP/2.0 {status} Whatever\nVia:[$via1]\nVia:[$via2]\n[last_From:]\nTo:[$to];tag=[pid]t[call_number]\n\
             [last_Call-ID:]\nCSeq:[$cseq]\nRecord-Route:[$record]\nContact: <sip:line@%CALLEE%>\n{}",
            content(body)
        );
        self.send(&message, true);
        self
    }
}

fn content(body: &str) -> String {
    if body.is_empty() {
        "Content-Length: 0\n\n".to_owned()
    } else {
        format!("Content-Type: application/sdp\nContent-Length: [len]\n\n{body}")
    }
}
