//! An HTTP server on loopback that gets posts, and replies by a script.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use native_tls::{Identity, TlsAcceptor};

use crate::kafka::run;

/// The longest wait for a post. It is longer than any post takes.
const LONGEST: Duration = Duration::from_secs(90);
const PASSWORD: &str = "password";

/// What the server does with a post.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// Answers with this status.
    Status(u16),
    /// Closes the connection.
    Close,
    /// Never answers, and keeps the connection open.
    Silence,
}

/// A post: its head in lower case, and its body.
#[derive(Debug)]
pub struct Post {
    /// The request line and the headers.
    pub head: String,
    /// The body.
    pub body: String,
}

/// A server. Dropping it closes its port.
pub struct Webhook {
    /// Its address.
    pub address: SocketAddr,
    posts: Receiver<Post>,
    is_closed: Arc<AtomicBool>,
}

impl Webhook {
    /// A server that replies in this order, and accepts all posts after that.
    pub fn start(replies: &[Reply]) -> Self {
        Self::serve(replies, Some)
    }

    /// The same with TLS for the name `localhost`. Returns the file with the certificate to trust, which is in `dir`.
    pub fn start_tls(dir: &Path) -> (Self, PathBuf) {
        let (keystore, pem) = certificate(dir);
        let identity = Identity::from_pkcs12(&fs::read(keystore).expect("a keystore"), PASSWORD).expect("an identity");
        let acceptor = TlsAcceptor::new(identity).expect("a TLS server");
        (Self::serve(&[], move |stream| acceptor.accept(stream).ok()), pem)
    }

    fn serve<S: Read + Write + Send + 'static>(
        replies: &[Reply],
        accept: impl Fn(TcpStream) -> Option<S> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, posts) = mpsc::channel();
        let is_closed = Arc::new(AtomicBool::new(false));
        let mut replies: VecDeque<Reply> = replies.iter().copied().collect();
        let closed = is_closed.clone();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().flatten() {
                if closed.load(Ordering::Relaxed) {
                    return;
                }
                let Some(mut stream) = accept(stream) else { continue };
                let Some(post) = read(&mut stream) else { continue };
                let reply = replies.pop_front().unwrap_or(Reply::Status(200));
                if sender.send(post).is_err() {
                    return;
                }
                match reply {
                    Reply::Status(status) => {
                        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                        // The client may be gone.
                        let _ = stream.write_all(answer.as_bytes());
                    }
                    Reply::Close => {}
                    Reply::Silence => silent.push(stream),
                }
            }
        });
        Self { address, posts, is_closed }
    }

    /// An address where nobody listens.
    ///
    /// # Panics
    /// If the machine has no free port.
    pub fn absent() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
    }

    /// Waits for the next post.
    ///
    /// # Panics
    /// If none comes.
    pub fn next(&self) -> Post {
        self.posts.recv_timeout(LONGEST).expect("a post")
    }

    /// Whether a post has come that was not taken yet.
    pub fn has_more(&self) -> bool {
        self.posts.try_recv().is_ok()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        // Wakes the thread, which then drops the listener.
        let _ = TcpStream::connect(self.address);
    }
}

fn read(stream: &mut impl Read) -> Option<Post> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Post { head, body: String::from_utf8(body).ok()? })
}

/// A certificate for `localhost` that signs itself: as a keystore, and as PEM.
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let (keystore, pem) = (dir.join("webhook.p12"), dir.join("webhook.pem"));
    for arguments in [
        "-genkeypair -keyalg EC -groupname secp256r1 -validity 30 -dname CN=localhost -ext san=dns:localhost"
            .to_owned(),
        format!("-exportcert -rfc -file {}", pem.display()),
    ] {
        let mut keytool = Command::new("keytool");
        keytool.args(arguments.split(' ')).arg("-keystore").arg(&keystore);
        keytool.args(["-storetype", "PKCS12", "-storepass", PASSWORD, "-alias", "webhook"]);
        run(keytool).expect("a certificate");
    }
    (keystore, pem)
}
