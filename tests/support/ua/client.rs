//! The agent as UAC: client transactions, ACK, CANCEL, requests within a dialog.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clapet::sip::message::{Header, Message};

use super::super::lines::{ack_of_failure, address_in, branch_of, content, socket_of, tag_of};
use super::{Client, Dialog, Invite, LONGEST, State, T1, Ua};

impl Ua {
    /// Places a call; the index of its client transaction.
    pub fn invite(&mut self, now: Duration, call: Invite) -> usize {
        let serial = self.serial();
        let Self {
            name, address, proxy, ..
        } = *self;
        let call_id = call
            .call_id
            .unwrap_or_else(|| format!("{name}-{serial}@{}", address.ip()));
        let tag = call.from_tag.unwrap_or_else(|| format!("{name}f{serial}"));
        let uri = call.uri.unwrap_or_else(|| format!("sip:{}@{proxy}", call.callee));
        let to = call.to.unwrap_or_else(|| format!("<sip:{}@{proxy}>", call.callee));
        let headers: String = call.headers.iter().map(|line| format!("{line}\r\n")).collect();
        let content = content(&call.body);
        let branch = format!("z9hG4bK-{name}-{serial}");
        let request = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch={branch};rport\r\nMax-Forwards: {}\r\n\
             From: <sip:{}@{}>;tag={tag}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {} INVITE\r\n\
             Contact: <sip:{name}@{address}>\r\n{headers}{content}",
            call.max_forwards,
            call.caller,
            address.ip(),
            call.cseq,
        );
        self.start(now, "INVITE", call_id, branch, request, proxy)
    }

    /// Sends a request within a dialog; the index of its client transaction.
    pub fn request(&mut self, now: Duration, dialog: usize, method: &str, headers: &str, body: &str) -> usize {
        let serial = self.serial();
        let branch = format!("z9hG4bK-{}-{serial}", self.name);
        self.dialogs[dialog].cseq += 1;
        let dialog = self.dialogs[dialog].clone();
        let (request, hop) = self.in_dialog(&dialog, method, dialog.cseq, &branch, headers, body);
        self.start(now, method, dialog.call_id, branch, request, hop)
    }

    /// Cancels a pending INVITE: at once where a provisional answer has come, else as soon as one comes (RFC 3261 §9.1).
    pub fn cancel(&mut self, now: Duration, client: usize) {
        self.clients[client].cancel = true;
        self.cancel_if_due(now, client);
    }

    pub(super) fn receive_response(&mut self, now: Duration, message: &Message) {
        let branch = branch_of(message);
        let method = message.cseq().map(|cseq| cseq.name.to_owned()).unwrap_or_default();
        let Some(index) = self
            .clients
            .iter()
            .position(|client| client.branch == branch && client.method == method)
        else {
            return;
        };
        let status = message.status();
        let client = &mut self.clients[index];
        if status < 200 {
            client.provisional.push(status);
            if client.state == State::Calling {
                client.state = State::Proceeding;
                if method == "INVITE" {
                    client.resend = None;
                }
            }
            self.cancel_if_due(now, index);
            return;
        }
        client.state = State::Completed;
        client.resend = None;
        let tag = tag_of(message, Header::To);
        let known = client
            .finals
            .iter()
            .any(|known| known.status() == status && tag_of(known, Header::To) == tag);
        if !known {
            client.finals.push(message.clone());
        }
        if method != "INVITE" {
            return;
        }
        if status >= 300 {
            let ack = client
                .ack
                .get_or_insert_with(|| ack_of_failure(&client.request, message));
            self.outbox.push((client.to, ack.clone()));
            return;
        }
        self.acknowledge(now, index, message, !known);
    }

    /// ACK of a 2xx, end to end; a call that was cancelled and answered all the same is hung up.
    pub(super) fn acknowledge(&mut self, now: Duration, index: usize, message: &Message, new: bool) {
        let value = |header| message.first(header).unwrap_or_default().to_owned();
        let number = message.cseq().map_or(0, |cseq| cseq.number);
        let routes: Vec<String> = message.values(Header::RecordRoute).map(str::to_owned).collect();
        let dialog = Dialog {
            call_id: message.call_id().to_owned(),
            local: value(Header::From),
            remote: value(Header::To),
            target: address_in(message.first(Header::Contact).unwrap_or_default()),
            routes: routes.into_iter().rev().collect(),
            cseq: number,
        };
        let tag = tag_of(message, Header::To);
        let known = self.clients[index].acks.iter().find(|(known, ..)| *known == tag);
        let (hop, ack) = if let Some((_, hop, ack)) = known {
            (*hop, ack.clone())
        } else {
            let serial = self.serial();
            let branch = format!("z9hG4bK-{}-{serial}", self.name);
            let (ack, hop) = self.in_dialog(&dialog, "ACK", number, &branch, "", "");
            let ack = Bytes::from(ack);
            self.clients[index].acks.push((tag, hop, ack.clone()));
            (hop, ack)
        };
        self.outbox.push((hop, ack));
        let within = self
            .dialogs
            .iter()
            .any(|known| known.call_id == dialog.call_id && known.remote == dialog.remote);
        if new && !within {
            self.dialogs.push(dialog);
            if self.clients[index].cancelled {
                let dialog = self.dialogs.len() - 1;
                self.request(now, dialog, "BYE", "", "");
            }
        }
    }

    pub(super) fn cancel_if_due(&mut self, now: Duration, index: usize) {
        let client = &mut self.clients[index];
        if !client.cancel || client.cancelled || client.state != State::Proceeding {
            return;
        }
        client.cancelled = true;
        let invite = Message::parse(client.request.clone()).expect("an INVITE of our own");
        let (branch, call_id) = (client.branch.clone(), client.call_id.clone());
        let value = |header| invite.first(header).unwrap_or_default();
        let routes: String = invite
            .values(Header::Route)
            .map(|route| format!("Route: {route}\r\n"))
            .collect();
        let number = invite.cseq().map_or(0, |cseq| cseq.number);
        let request = format!(
            "CANCEL {} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\n{routes}From: {}\r\nTo: {}\r\nCall-ID: {call_id}\r\n\
             CSeq: {number} CANCEL\r\nContent-Length: 0\r\n\r\n",
            invite.request_uri(),
            value(Header::Via),
            value(Header::From),
            value(Header::To),
        );
        let proxy = self.proxy;
        self.start(now, "CANCEL", call_id, branch, request, proxy);
    }

    pub(super) fn in_dialog(
        &self,
        dialog: &Dialog,
        method: &str,
        number: u32,
        branch: &str,
        headers: &str,
        body: &str,
    ) -> (String, SocketAddr) {
        let routes: String = dialog
            .routes
            .iter()
            .map(|route| format!("Route: {route}\r\n"))
            .collect();
        let hop = dialog
            .routes
            .first()
            .map_or_else(|| dialog.target.clone(), |route| address_in(route));
        let request = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch={branch};rport\r\nMax-Forwards: 70\r\n{routes}From: {}\r\n\
             To: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\nContact: <sip:{}@{}>\r\n{headers}{}",
            dialog.target,
            self.address,
            dialog.local,
            dialog.remote,
            dialog.call_id,
            self.name,
            self.address,
            content(body),
        );
        (request, socket_of(&hop))
    }

    pub(super) fn start(
        &mut self,
        now: Duration,
        method: &str,
        call_id: String,
        branch: String,
        request: String,
        to: SocketAddr,
    ) -> usize {
        let request = Bytes::from(request);
        self.outbox.push((to, request.clone()));
        self.clients.push(Client {
            method: method.to_owned(),
            call_id,
            request,
            provisional: Vec::new(),
            finals: Vec::new(),
            timed_out: false,
            branch,
            to,
            state: State::Calling,
            resend: Some((now + T1, T1)),
            give_up: now + LONGEST,
            ack: None,
            acks: Vec::new(),
            cancel: false,
            cancelled: false,
        });
        self.clients.len() - 1
    }
}
