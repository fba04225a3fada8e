//! Somebody with a credential and a client of their own, who looks at every byte that a node sends.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, Ticket};
use prost::Message;
use terms::{MemberId, UtcTime};
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::{Request, Status};
use trust::{Digest, Envelope, Proof, PublicKey, Receipt, SigningKey};
use wire::Connection;

use super::Sandbox;

/// A person at one node.
pub(crate) struct Person {
    connection: Connection,
    credential: String,
    key: SigningKey,
    node: MemberId,
    node_key: PublicKey,
}

/// Everything that came of one call.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) bytes: Vec<u8>,
    /// The status it ended with, if it did not end well.
    pub(crate) refused: Option<Status>,
}

impl Person {
    pub(crate) async fn of(sandbox: &Sandbox, person: &str, node: &str) -> Self {
        let folder = sandbox.dir().join("people").join(person);
        let config = node::Config::load(&sandbox.dir().join("nodes").join(node).join("node.toml")).unwrap();
        let node_key = SigningKey::load(&config.key).unwrap().public();
        let connection = wire::connect(config.listen.as_deref().unwrap(), config.member.as_str(), &node_key).await;
        let credential = std::fs::read_to_string(folder.join("credential.jwt")).unwrap();
        Self {
            connection: connection.unwrap(),
            credential: credential.trim().to_owned(),
            key: SigningKey::load(&folder.join("person.key")).unwrap(),
            node: config.member,
            node_key,
        }
    }

    pub(crate) fn flight(&self) -> FlightServiceClient<tonic::transport::Channel> {
        FlightServiceClient::new(self.connection.grpc.clone()).max_decoding_message_size(64 << 20)
    }

    pub(crate) fn grpc(&self) -> tonic::transport::Channel {
        self.connection.grpc.clone()
    }

    /// A request with this person's proof for a question.
    pub(crate) fn request<T>(&self, message: T, sql: &str, permit: Option<&str>) -> Request<T> {
        let proof = Proof {
            node: self.node.to_string(),
            query: Digest::of(sql.as_bytes()),
            purpose: Some("ehds-53-1-e".parse().unwrap()),
            permit: permit.map(|permit| permit.parse().unwrap()),
            request: None,
            channel: self.connection.binding().unwrap(),
        };
        let proof = proof.issue(&self.key, UtcTime::now()).unwrap();
        let mut request = Request::new(message);
        let tokens = wire::header::Tokens {
            credential: &self.credential,
            proof: &proof,
            request: None,
        };
        wire::header::attach(request.metadata_mut(), tokens).unwrap();
        request
    }

    /// Asks, and keeps headers, messages, trailers and the status.
    pub(crate) async fn ask(&self, sql: &str, permit: Option<&str>) -> Seen {
        let mut seen = Seen::default();
        if let Err(status) = self.ask_into(&mut seen, sql, permit).await {
            seen.status(&status);
            seen.refused = Some(status);
        }
        seen
    }

    async fn ask_into(&self, seen: &mut Seen, sql: &str, permit: Option<&str>) -> Result<(), Status> {
        let response = self.flight().do_get(self.request(ticket(sql), sql, permit)).await?;
        seen.metadata(response.metadata());
        if let Some(receipt) = wire::header::receipt(response.metadata()) {
            // What is signed is encoded once more inside of the envelope.
            let receipt = Receipt::open(&Envelope::parse(&receipt).unwrap(), &self.node_key).unwrap();
            seen.bytes.extend(format!("{receipt:?}").into_bytes());
        }
        let mut stream = response.into_inner();
        while let Some(data) = stream.message().await? {
            seen.bytes.extend(data.encode_to_vec());
            // On their own too, so that nothing of the encoding lies between.
            if let Ok(receipt) = Envelope::parse(&data.app_metadata) {
                let receipt = Receipt::open(&receipt, &self.node_key).unwrap();
                seen.bytes.extend(format!("{receipt:?}").into_bytes());
            }
            for part in [&data.data_header, &data.data_body, &data.app_metadata] {
                seen.bytes.extend_from_slice(part);
            }
        }
        if let Some(trailers) = stream.trailers().await? {
            seen.metadata(&trailers);
        }
        Ok(())
    }

    /// Asks whether it would be answered, and keeps all that comes.
    pub(crate) async fn ask_whether(&self, sql: &str, permit: Option<&str>) -> Seen {
        let mut seen = Seen::default();
        if let Err(status) = self.ask_whether_into(&mut seen, sql, permit).await {
            seen.status(&status);
            seen.refused = Some(status);
        }
        seen
    }

    async fn ask_whether_into(&self, seen: &mut Seen, sql: &str, permit: Option<&str>) -> Result<(), Status> {
        let request = self.request(dry_run(sql), sql, permit);
        let response = self.flight().do_action(request).await?;
        seen.metadata(response.metadata());
        let mut stream = response.into_inner();
        while let Some(said) = stream.message().await? {
            seen.bytes.extend_from_slice(&said.body);
        }
        if let Some(trailers) = stream.trailers().await? {
            seen.metadata(&trailers);
        }
        Ok(())
    }

    /// What the node says of an answer before it gives it.
    pub(crate) async fn info(&self, sql: &str, permit: Option<&str>) -> Result<FlightInfo, Status> {
        let command = CommandStatementQuery {
            query: sql.to_owned(),
            transaction_id: None,
        };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let answer = self
            .flight()
            .get_flight_info(self.request(descriptor, sql, permit))
            .await;
        answer.map(tonic::Response::into_inner)
    }
}

impl Seen {
    fn metadata(&mut self, metadata: &MetadataMap) {
        for entry in metadata.iter() {
            match entry {
                KeyAndValueRef::Ascii(key, value) => {
                    self.bytes.extend(key.as_str().as_bytes());
                    self.bytes.extend(value.as_bytes());
                }
                KeyAndValueRef::Binary(key, value) => {
                    self.bytes.extend(key.as_str().as_bytes());
                    self.bytes.extend(value.as_encoded_bytes());
                    self.bytes.extend(value.to_bytes().unwrap());
                }
            }
        }
    }

    pub(crate) fn status(&mut self, status: &Status) {
        self.bytes.extend(status.message().as_bytes());
        self.bytes.extend(status.details());
        self.metadata(status.metadata());
    }
}

pub(crate) fn dry_run(sql: &str) -> Action {
    let asked = wire::v1::DryRunRequest { sql: sql.to_owned() };
    Action::new(wire::dry_run::ACTION, asked.encode_to_vec())
}

pub(crate) fn ticket(sql: &str) -> Ticket {
    let handle = wire::v1::QueryTicket { sql: sql.to_owned() };
    let statement = TicketStatementQuery {
        statement_handle: handle.encode_to_vec().into(),
    };
    Ticket::new(statement.as_any().encode_to_vec())
}
