//! The real binary: a folder with its configuration and store, the running server in it, and commands beside it. Every port is one
//! the system gave; every child is ended by its own id.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long the server may take until it listens. Generous: a debug build on a busy machine.
const START: Duration = Duration::from_secs(120);
/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(180);

/// A folder with `clapet.toml`, the store and whatever else a test puts there. Gone when dropped.
pub struct Site {
    folder: tempfile::TempDir,
    /// Environment of every child: the faked clock, if one.
    environment: Vec<(String, String)>,
}

impl Site {
    /// With this configuration; `{store}` in it is the store's folder, `{folder}` the site's.
    pub fn new(configuration: &str) -> Self {
        let site = Self {
            folder: tempfile::tempdir().expect("a folder"),
            environment: Vec::new(),
        };
        site.configure(configuration);
        site
    }

    /// Children see this moment (UTC, `2023-06-06 08:30:00`) as the wall clock's when they start; the monotonic clock is the real one.
    pub fn at(mut self, moment: &str, faketime: &Path) -> Self {
        self.environment = vec![
            ("LD_PRELOAD".into(), faketime.to_string_lossy().into_owned()),
            ("FAKETIME".into(), format!("@{moment}")),
            ("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into()),
            ("FAKETIME_DONT_RESET".into(), "1".into()),
            ("TZ".into(), "UTC".into()),
        ];
        self
    }

    /// Sets or takes away a variable of the environment of every child to come.
    pub fn environment(&mut self, name: &str, value: Option<&str>) {
        self.environment.retain(|(known, _)| known != name);
        self.environment
            .extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    pub fn configure(&self, configuration: &str) {
        let text = configuration
            .replace("{store}", &self.store().to_string_lossy())
            .replace("{folder}", &self.path("").to_string_lossy());
        std::fs::write(self.configuration(), text).expect("a configuration written");
    }

    /// A path within the site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the site.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file written");
        path
    }

    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    pub fn configuration(&self) -> PathBuf {
        self.path("clapet.toml")
    }

    /// Runs a command of the binary with `--config` until it ends.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let configuration = self.configuration();
        let mut all: Vec<&str> = arguments.to_vec();
        let path = configuration.to_string_lossy().into_owned();
        all.extend(["--config", &path]);
        self.run_bare(&all)
    }

    /// Runs a command of the binary as it is.
    pub fn run_bare(&self, arguments: &[&str]) -> Output {
        let child = self
            .command()
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        finish(child, COMMAND, &arguments.join(" "))
    }

    /// Starts the server and waits until it listens.
    pub fn start(&self) -> Server {
        let mut last = String::new();
        let deadline = Instant::now() + START;
        // A port that was given up a moment ago may still be held: that is no failure of the server.
        while Instant::now() < deadline {
            match self.try_start() {
                Ok(server) => return server,
                Err(text) if text.contains("in use") => last = text,
                Err(text) => panic!("the server did not start:\n{text}"),
            }
        }
        panic!("the server did not start:\n{last}");
    }

    fn try_start(&self) -> Result<Server, String> {
        let addresses = self.store().join("addresses.json");
        let _ = std::fs::remove_file(&addresses);
        let log = self.path("stderr.log");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log");
        let child = self
            .command()
            .arg("serve")
            .arg("--config")
            .arg(self.configuration())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the binary runs");
        let mut server = Server {
            child,
            log,
            sip: Vec::new(),
            listeners: Vec::new(),
            api: None,
        };
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if server.child.try_wait().expect("a child").is_some() {
                return Err(server.messages());
            }
            if let Some(value) = std::fs::read(&addresses)
                .ok()
                .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
            {
                server.read_addresses(&value);
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!("no addresses.json after {START:?}\n{}", server.messages()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clapet"));
        command.current_dir(self.folder.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Waits for a child to end; kills it and fails when it takes too long.
pub fn finish(mut child: Child, within: Duration, what: &str) -> Output {
    let deadline = Instant::now() + within;
    let readers = [
        child.stdout.take().map(|pipe| read_all(Box::new(pipe))),
        child.stderr.take().map(|pipe| read_all(Box::new(pipe))),
    ];
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what} did not end within {within:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let [stdout, stderr] =
        readers.map(|reader| reader.map_or_else(Vec::new, |thread| thread.join().expect("a reader")));
    Output { status, stdout, stderr }
}

fn read_all(mut pipe: Box<dyn std::io::Read + Send>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

/// The running server; killed when dropped.
pub struct Server {
    child: Child,
    log: PathBuf,
    /// Where it takes SIP over UDP.
    pub sip: Vec<SocketAddr>,
    /// Where it takes SIP, with `udp`, `tcp` or `tls`.
    listeners: Vec<(String, SocketAddr)>,
    /// Where it takes HTTP.
    pub api: Option<SocketAddr>,
}

impl Server {
    /// `kill -9`, and the child is gone when this returns.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child");
        self.child.wait().expect("a child");
    }

    /// SIGTERM, and its exit code once it has ended.
    pub fn stop(self) -> Option<i32> {
        self.terminate();
        self.wait()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.expect("an id"), rustix::process::Signal::TERM).expect("a signal sent");
    }

    /// Waits for its end; its exit code.
    pub fn wait(mut self) -> Option<i32> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the server did not stop:\n{}", self.messages());
    }

    /// Is it still there?
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// The first listener of a transport.
    pub fn listener(&self, transport: &str) -> SocketAddr {
        let found = self.listeners.iter().find(|(scheme, _)| scheme == transport);
        found.unwrap_or_else(|| panic!("no {transport} listener")).1
    }

    /// What it wrote to stderr.
    pub fn messages(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// An HTTP answer: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        use std::io::{Read as _, Write as _};
        let api = self.api.expect("the API listens");
        let mut stream = std::net::TcpStream::connect_timeout(&api, Duration::from_secs(5)).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a time-out");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        (status.expect("a status"), body.unwrap_or_default())
    }

    /// The sum of a metric's values over all labels that contain `label`.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200);
        body.lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .filter_map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()))
            .sum()
    }

    fn read_addresses(&mut self, value: &Value) {
        let mut found = Vec::new();
        collect("", value, &mut found);
        for (key, text) in found {
            let (scheme, address) = text.split_once("://").unwrap_or(("", text.as_str()));
            let Ok(address) = address.parse::<SocketAddr>() else {
                continue;
            };
            if !scheme.is_empty() {
                self.listeners.push((scheme.to_owned(), address));
            }
            if scheme == "udp" || (scheme.is_empty() && key == "sip") {
                self.sip.push(address);
            } else if key == "api" || key == "http" || scheme == "http" {
                self.api = Some(address);
            }
        }
        assert!(!self.sip.is_empty(), "no UDP address in {value}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's messages:\n{}", self.messages());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every string in a JSON value, with the key it stands under.
fn collect(key: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((key.to_owned(), text.clone())),
        Value::Array(values) => values.iter().for_each(|value| collect(key, value, found)),
        Value::Object(map) => map.iter().for_each(|(key, value)| collect(key, value, found)),
        _ => {}
    }
}

/// The shipped law with every hour of every day open and no consent needed: for tests that are about something else and must pass at
/// any moment.
pub fn law_of_every_hour() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/law/fr.toml");
    let text = std::fs::read_to_string(path).expect("the shipped law");
    let hours = r#"hours = { days = ["mon", "tue", "wed", "thu", "fri"], windows = [["10:00", "13:00"], ["14:00", "20:00"]], holidays = "national" }"#;
    let open = r#"hours = { days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], windows = [["00:00", "24:00"]], holidays = "none" }"#;
    let required = "consent = { required = true, ";
    let rule = "\"consent\", \"hours\"";
    for part in [hours, required, rule] {
        assert!(text.contains(part), "the shipped law has changed: no {part}");
    }
    text.replace(hours, open)
        .replace(required, "consent = { ")
        .replace(rule, "\"hours\"")
}

/// One professional, one source on loopback, these trunks in order of priority. `sip` is the listening address.
pub fn configuration(sip: &str, trunks: &[SocketAddr], law: &str) -> String {
    let trunks: String = (1..)
        .zip(trunks)
        .map(|(priority, address)| {
            format!("[[trunk]]\nid = \"carrier-{priority}\"\ntarget = \"sip:{address}\"\npriority = {priority}\n\n")
        })
        .collect();
    format!(
        "[sip]\nlisten = [\"udp://{sip}\"]\ndrain = \"2s\"\n\n[store]\npath = \"{{store}}\"\nanswer_within = \"10s\"\n\n\
         [api]\nlisten = \"127.0.0.1:0\"\n\n{law}\n\
         [[professional]]\nid = \"acme\"\nname = \"ACME Assurances\"\nsiren = \"552100554\"\n\
         numbers = [\"+33162001000-+33162001999\", \"+33123456700-+33123456799\"]\n\n\
         [[source]]\nid = \"bpo-lyon\"\naddresses = [\"127.0.0.1\"]\nprofessionals = [\"acme\"]\ndialling = \"automated\"\n\
         purpose = \"canvassing\"\n\n{trunks}"
    )
}

/// The library that fakes the wall clock, as `faketime` preloads it. `None` where the tool is not installed: the test then says that it
/// skips; continuous integration (`CI=true`) has every tool, so there it fails.
pub fn faketime() -> Option<PathBuf> {
    let faketime = tool("faketime")?;
    // It names its shared memory after its process and leaves it behind when killed, so that another with that number fails: the
    // next has another number.
    let found = (0..10).find_map(|_| {
        let output = Command::new(&faketime)
            .args(["-m", "2023-06-06 08:30:00", "printenv", "LD_PRELOAD"])
            .output()
            .expect("faketime runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let library = text.trim().split([':', ' ']).find(|path| path.contains("faketime"));
        library.map(PathBuf::from)
    });
    Some(found.expect("faketime preloads a library"))
}

/// Where a tool is.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} is not installed");
        eprintln!("skipped: {name} is not installed (tests/run installs it)");
    }
    found
}
