//! `POST /v1/imports/{kind}`: a file comes in as the body, is spooled to the store's folder, read, and applied in one step.
//!
//! Query: `professional`, `force`, and `submitted=N` where the body's first N bytes are the file that was sent to Bloctel and the rest
//! is the one that came back. The answer is a JSON object a line: first what was loaded, then each rejected line.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path as Segment, Query, Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::access::Need;
use super::routes::{Context, blocking, unavailable};
use super::{Backend, Problem};
use crate::import::{self, ApplyError, ImportError, Kind, Rejected, Rejects};
use crate::numbering::Territory;

/// What an import loaded: the first line of the answer, and what the command prints with `--json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Imported {
    /// The kind of file.
    pub kind: String,
    /// What was read, in words, in a fixed order.
    pub counts: Vec<(String, u64)>,
    /// Entries that were new.
    pub new: u64,
    /// Entries that were known already.
    pub known: u64,
    /// Lines set aside.
    pub rejected: u64,
    /// There was nothing to load.
    pub empty: bool,
}

/// A rejected line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct RejectedLine {
    pub line: u64,
    pub reason: String,
    pub text: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Whose file it is.
    professional: Option<String>,
    /// Also where it would oppose none or all of what was sent.
    #[serde(default)]
    force: bool,
    /// Bytes of the submitted file, which come first.
    submitted: Option<u64>,
}

/// Loads a file; the answer's first line says what was loaded, each further one is a rejected line.
#[utoipa::path(post, path = "/v1/imports/{kind}", tag = "operation", security(("token" = [])),
    params(
        ("kind" = String, Path, description = "`bloctel`, `opposition`, `consents`, `refusals`, `contracts`, `attempts` or `numbers`"),
        Asked,
    ),
    request_body(content = String, content_type = "text/csv"),
    responses(
        (status = 200, description = "What was loaded", body = Imported, content_type = "application/x-ndjson"),
        (status = "4XX", description = "What is wrong, and in which field", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The store cannot", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn imports(
    Shared(context): Shared<Context>,
    Segment(kind): Segment<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    context.authorise(request.headers(), Need::Operate)?;
    let kind: Kind = kind
        .parse()
        .map_err(|expected: String| Problem::field("kind", expected))?;
    import(&context, kind, asked, request).await
}

/// Loads a file of that kind, for somebody who may.
pub(super) async fn import(
    context: &Context,
    kind: Kind,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let backend = Arc::clone(&context.backend);
    let one = IMPORTING
        .try_lock()
        .map_err(|_| Problem::new(StatusCode::CONFLICT, "another import is under way"))?;
    let (submitted, file) = spool(request.into_body(), asked.submitted, &backend.store).await?;
    let runtime = tokio::runtime::Handle::current();
    let (imported, rejects) = blocking(move || {
        let done = load(&backend, kind, &asked, submitted, file, &runtime);
        drop(one);
        done
    })
    .await??;
    answer(&imported, rejects)
}

/// Reads and applies. Blocks.
fn load(
    backend: &Backend,
    kind: Kind,
    asked: &Asked,
    mut submitted: Option<File>,
    mut file: File,
    runtime: &tokio::runtime::Handle,
) -> Result<(Imported, File), Problem> {
    let policy = backend.gate.policy();
    let mut rejects = Spooled {
        out: BufWriter::new(temporary(&backend.store).map_err(|error| spoiled(&error))?),
    };
    let options = import::Options {
        professional: asked.professional.as_deref(),
        submitted: submitted.as_mut().map(|file| file as &mut dyn io::Read),
        today: policy.law.local_day((backend.clock)(), Territory::Metropole),
        force: asked.force,
        progress: None,
    };
    let read = import::run(kind, &mut file, options, &policy.law, &*policy.roster, &mut rejects);
    let batch = read.map_err(|error| refused(&error))?;
    let mut imported = Imported::of(&batch);
    let applied = runtime.block_on(import::apply(batch, &*backend.ledger, &backend.screening));
    match applied {
        Ok(applied) => imported.applied(&applied),
        Err(ApplyError::Store(error)) => return Err(unavailable(&error)),
        Err(ApplyError::Screening(error)) => {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()));
        }
    }
    if kind == Kind::Numbers && imported.new > 0 {
        // Recorded already; what hinders the roster (two owners of one number) hinders the next reload too, and is told now.
        let told = |why| Problem::new(StatusCode::CONFLICT, format!("recorded, but not in force: {why}"));
        backend.host.standing_changed().map_err(told)?;
    }
    let mut rejects = rejects.out.into_inner().map_err(|error| spoiled(error.error()))?;
    rejects.rewind().map_err(|error| spoiled(&error))?;
    Ok((imported, rejects))
}

impl Imported {
    /// Before it is applied.
    pub fn of(batch: &import::Batch) -> Self {
        Self {
            kind: batch.kind.name().to_owned(),
            counts: batch
                .counts
                .iter()
                .map(|(what, count)| ((*what).to_owned(), *count))
                .collect(),
            rejected: batch.rejected,
            empty: batch.is_empty(),
            ..Self::default()
        }
    }

    /// What applying it said.
    pub fn applied(&mut self, applied: &import::Applied) {
        self.new = applied.recorded.new;
        self.known = applied.recorded.known;
    }
}

fn refused(error: &ImportError) -> Problem {
    let said = error.to_string();
    match error {
        ImportError::Read(_) | ImportError::Rejects(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, said),
        ImportError::UnknownProfessional(_) => Problem::field("professional", said),
        ImportError::Submitted => Problem::field("submitted", said),
        ImportError::NoneOpposed { .. } | ImportError::AllOpposed { .. } => Problem::field("force", said),
        ImportError::Encoding | ImportError::Header { .. } | ImportError::TooMany => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, said)
        }
    }
}

/// Rejected lines on disk, as many as there may be.
struct Spooled {
    out: BufWriter<File>,
}

impl Rejects for Spooled {
    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        let line = RejectedLine {
            line: rejected.line,
            reason: rejected.reason.clone(),
            text: rejected.text.clone(),
        };
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }
}

/// The body in one or two files, rewound.
async fn spool(mut body: Body, submitted: Option<u64>, store: &Path) -> Result<(Option<File>, File), Problem> {
    let create = || {
        temporary(store)
            .map(tokio::fs::File::from_std)
            .map_err(|error| spoiled(&error))
    };
    let mut first = submitted.map(|_| create()).transpose()?;
    let mut rest = create()?;
    let (mut left, mut taken) = (submitted.unwrap_or(0), 0_u64);
    while let Some(frame) = tokio::time::timeout(CHUNK_WITHIN, body.frame())
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body stopped coming"))?
    {
        let frame = frame.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body did not arrive whole"))?;
        let Ok(mut chunk) = frame.into_data() else { continue };
        taken += chunk.len() as u64;
        if taken > MAX_UPLOAD {
            let detail = format!("larger than {MAX_UPLOAD} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        let ahead = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        let ahead = chunk.split_to(ahead);
        left -= ahead.len() as u64;
        if let Some(first) = &mut first {
            write(first, &ahead).await?;
        }
        write(&mut rest, &chunk).await?;
    }
    if left > 0 {
        return Err(Problem::field("submitted", "more bytes than the body has"));
    }
    let first = match first {
        Some(file) => Some(rewound(file).await?),
        None => None,
    };
    Ok((first, rewound(rest).await?))
}

async fn write(file: &mut tokio::fs::File, bytes: &Bytes) -> Result<(), Problem> {
    use tokio::io::AsyncWriteExt as _;
    file.write_all(bytes).await.map_err(|error| spoiled(&error))
}

async fn rewound(mut file: tokio::fs::File) -> Result<File, Problem> {
    use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
    file.flush().await.map_err(|error| spoiled(&error))?;
    file.rewind().await.map_err(|error| spoiled(&error))?;
    Ok(file.into_std().await)
}

/// A file without a name, readable by nobody else, gone with its last handle.
fn temporary(store: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = store.join(format!("upload.{}.{number}", std::process::id()));
    // One of this name was left by a process that was stopped between the next two steps.
    let _ = std::fs::remove_file(&path);
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn spoiled(error: &io::Error) -> Problem {
    let detail = format!("the upload cannot be kept: {error}");
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail)
}

/// The first line, then the rejected ones as the client takes them.
fn answer(imported: &Imported, rejects: File) -> Result<Response, Problem> {
    let mut first = serde_json::to_vec(imported)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    first.push(b'\n');
    let (lines, taken) = mpsc::channel(CHUNKS_AHEAD);
    // Ends with the client: sending fails once nobody receives.
    tokio::task::spawn_blocking(move || {
        let mut reader = BufReader::with_capacity(CHUNK, rejects);
        let mut next = Bytes::from(first);
        while lines.blocking_send(Ok::<_, io::Error>(next)).is_ok() {
            match reader.fill_buf() {
                Ok([]) => break,
                Ok(buffer) => {
                    next = Bytes::copy_from_slice(buffer);
                    let read = buffer.len();
                    reader.consume(read);
                }
                Err(error) => {
                    let _ = lines.blocking_send(Err(error));
                    break;
                }
            }
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::new(super::stream::Chunks::new(taken, None))).into_response())
}

/// Held by the one import under way in the process.
static IMPORTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Largest upload, in bytes: a hundred million numbers.
const MAX_UPLOAD: u64 = 2 << 30;

/// Longest pause of a client in the middle of a body.
const CHUNK_WITHIN: Duration = Duration::from_secs(30);

/// Bytes of a chunk of the answer, and chunks read ahead of the client.
const CHUNK: usize = 64 << 10;
const CHUNKS_AHEAD: usize = 4;
