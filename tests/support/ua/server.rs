//! The agent as UAS: answers by script, sends finals again until their ACK, takes CANCEL and requests within a dialog.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clapet::sip::message::{Header, Message, Method};

use super::super::lines::{address_in, branch_of, content, tag_of, with_tag};
use super::{Dialog, LONGEST, OnCancel, Resent, Script, Served, Step, T1, Ua};

impl Ua {
    pub(super) fn receive_request(&mut self, now: Duration, from: SocketAddr, message: Message) {
        let branch = branch_of(&message);
        match message.method() {
            Method::Invite => {
                if let Some(served) = self.served.iter_mut().find(|served| served.branch == branch) {
                    served.copies += 1;
                    if let Some(last) = &served.last {
                        self.outbox.push((served.from, last.clone()));
                    }
                    return;
                }
                let within = tag_of(&message, Header::To).is_some();
                let script = if within {
                    self.requests.push("INVITE".into());
                    Script::of(&[(5, 200)])
                } else {
                    self.scripts.pop_front().unwrap_or_else(|| self.script.clone())
                };
                self.served.push(Served {
                    at: now,
                    copies: 1,
                    final_status: None,
                    acked: false,
                    cancelled: false,
                    sent: Vec::new(),
                    branch,
                    from,
                    steps: script.steps.into_iter().map(|step| (now + step.after, step)).collect(),
                    on_cancel: script.on_cancel,
                    last: None,
                    finals: Vec::new(),
                    request: message,
                });
            }
            Method::Ack => self.receive_ack(&message),
            Method::Cancel => self.receive_cancel(now, from, &message, &branch),
            _ => {
                let answer = self.once(&message, &branch);
                self.outbox.push((from, answer));
            }
        }
    }

    pub(super) fn receive_ack(&mut self, message: &Message) {
        let tag = tag_of(message, Header::To).unwrap_or_default();
        let number = message.cseq().map(|cseq| cseq.number);
        for served in &mut self.served {
            let same = served.request.call_id() == message.call_id()
                && served.request.cseq().map(|cseq| cseq.number) == number;
            let before = served.finals.len();
            if same {
                served.finals.retain(|resent| resent.to_tag != tag);
                served.acked |= served.finals.len() < before;
            }
        }
    }

    pub(super) fn receive_cancel(&mut self, now: Duration, from: SocketAddr, message: &Message, branch: &str) {
        let answer = self.once(message, &format!("{branch}/cancel"));
        self.outbox.push((from, answer));
        let Some(index) = self.served.iter().position(|served| served.branch == branch) else {
            return;
        };
        if self.served[index].cancelled || self.served[index].final_status.is_some() {
            return;
        }
        let served = &mut self.served[index];
        served.cancelled = true;
        served.steps.clear();
        let status = match served.on_cancel {
            OnCancel::Terminate => 487,
            OnCancel::AnswerAnyway => 200,
        };
        let step = Script::of(&[(0, status)]).steps.remove(0);
        self.answer(now, index, &step);
    }

    /// 200 to a request that is no INVITE, the same for each copy of it.
    pub(super) fn once(&mut self, message: &Message, key: &str) -> Bytes {
        if let Some((_, answer)) = self.answered.iter().find(|(known, _)| known == key) {
            return answer.clone();
        }
        if message.method() != Method::Cancel {
            self.requests.push(message.method_name().to_owned());
        }
        let answer = self.response(message, 200, 0, &[], "");
        self.answered.push((key.to_owned(), answer.clone()));
        answer
    }

    pub(super) fn answer(&mut self, now: Duration, index: usize, step: &Step) {
        let request = self.served[index].request.clone();
        let bytes = self.response(&request, step.status, step.fork, &step.headers, step.body);
        let to_tag = Message::parse(bytes.clone())
            .ok()
            .and_then(|message| tag_of(&message, Header::To))
            .unwrap_or_default();
        if step.status / 100 == 2 && self.dialog_of(request.call_id()).is_none() {
            let value = |header| request.first(header).unwrap_or_default().to_owned();
            self.dialogs.push(Dialog {
                call_id: request.call_id().to_owned(),
                local: with_tag(&value(Header::To), &to_tag),
                remote: value(Header::From),
                target: address_in(request.first(Header::Contact).unwrap_or_default()),
                routes: request.values(Header::RecordRoute).map(str::to_owned).collect(),
                cseq: 100,
            });
        }
        let served = &mut self.served[index];
        served.sent.push(step.status);
        served.last = Some(bytes.clone());
        self.outbox.push((served.from, bytes.clone()));
        if step.status >= 200 {
            served.final_status.get_or_insert(step.status);
            served.finals.push(Resent {
                bytes,
                to_tag,
                next: now + T1,
                interval: T1,
                until: now + LONGEST,
            });
        }
    }

    pub(super) fn response(
        &mut self,
        request: &Message,
        status: u16,
        fork: u32,
        headers: &[String],
        body: &str,
    ) -> Bytes {
        let mut text = format!("SIP/2.0 {status} {}\r\n", clapet::sip::message::phrase(status));
        for via in request.values(Header::Via) {
            text += &format!("Via: {via}\r\n");
        }
        let dialog = request.method() == Method::Invite && status < 300 && status > 100;
        if dialog {
            for route in request.values(Header::RecordRoute) {
                text += &format!("Record-Route: {route}\r\n");
            }
        }
        let value = |header| request.first(header).unwrap_or_default();
        let to = match tag_of(request, Header::To) {
            None if status > 100 => with_tag(value(Header::To), &format!("{}t{fork}", self.name)),
            _ => value(Header::To).to_owned(),
        };
        text += &format!(
            "From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n",
            value(Header::From),
            value(Header::CallId),
            value(Header::CSeq)
        );
        if dialog {
            text += &format!("Contact: <sip:{}@{}>\r\n", self.name, self.address);
        }
        for line in headers {
            text += &format!("{line}\r\n");
        }
        text += &content(body);
        Bytes::from(text)
    }
}
