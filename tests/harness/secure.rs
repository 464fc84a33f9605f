//! A Kafka with users, permissions and certificates: a port for each security protocol, and Kafka's own authorizer.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::kafka::{JVM_FOR_TESTS, Kafka, Own, PORT_ATTEMPTS, START_TIMEOUT, Start, client_config, free_port, run};

/// The password of all users, and of the keystore.
pub const PASSWORD: &str = "password-of-the-tests";
const TIMEOUT: Duration = Duration::from_secs(30);

/// The addresses of a broker, one for each security protocol. The certificate names `localhost` only.
pub struct Secure {
    kafka: Kafka,
    _own: Own,
    /// SASL without TLS.
    pub sasl: String,
    /// TLS without SASL.
    pub tls: String,
    /// SASL within TLS.
    pub sasl_tls: String,
    /// The certificate of the broker, which signs itself.
    pub ca: PathBuf,
}

/// The resource of a permission.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// A topic of this name.
    Topic(&'a str),
    /// A consumer group of this name.
    Group(&'a str),
    /// All transactional ids with this prefix.
    TransactionalIds(&'a str),
}

/// The operations of permissions.
pub use rdkafka::bindings::rd_kafka_AclOperation_t as Operation;

impl Secure {
    /// Starts the broker. These users log in with [`PASSWORD`]; they have only granted permissions.
    pub fn start(users: &[&str]) -> Result<Secure> {
        for _ in 0..PORT_ATTEMPTS {
            if let Some(secure) = Secure::try_start(users)? {
                return Ok(secure);
            }
        }
        bail!("other processes took the ports picked for the broker {PORT_ATTEMPTS} times in a row")
    }

    fn try_start(users: &[&str]) -> Result<Option<Secure>> {
        let mut own = Own::new(JVM_FOR_TESTS)?;
        let (keystore, ca) = certificate(own.dir.path())?;
        // All listeners stay open until all ports are known; otherwise two could be the same.
        let listeners = (0..5).map(|_| free_port()).collect::<Result<Vec<_>>>()?;
        let ports = listeners.iter().map(|port| Ok(port.local_addr()?.port())).collect::<Result<Vec<_>>>()?;
        drop(listeners);
        let [plain, sasl, tls, sasl_tls, controller] = ports[..] else { bail!("five ports") };
        let users: String = users.iter().map(|user| format!(" user_{user}=\"{PASSWORD}\"")).collect();
        let login = format!("org.apache.kafka.common.security.plain.PlainLoginModule required{users};");
        let listeners = format!(
            "PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},SASLTLS://127.0.0.1:{sasl_tls}"
        );
        // The harness, the broker and its controller connect without SASL.
        own.append_properties(&format!(
            "listeners={listeners},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners={}\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL,CONTROLLER:PLAINTEXT\n\
             sasl.enabled.mechanisms=PLAIN\n\
             listener.name.sasl.plain.sasl.jaas.config={login}\n\
             listener.name.sasltls.plain.sasl.jaas.config={login}\n\
             ssl.keystore.location={}\nssl.keystore.type=PKCS12\nssl.keystore.password={PASSWORD}\nssl.key.password={PASSWORD}\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS\n",
            listeners.replace("TLS://127.0.0.1", "TLS://localhost"),
            keystore.display()
        ))?;
        own.format(&["--standalone"])?;
        let brokers = format!("127.0.0.1:{plain}");
        if own.bring_up(&brokers, Instant::now() + START_TIMEOUT)? == Start::PortTaken {
            return Ok(None);
        }
        Ok(Some(Secure {
            kafka: Kafka::external(brokers)?,
            _own: own,
            sasl: format!("127.0.0.1:{sasl}"),
            tls: format!("localhost:{tls}"),
            sasl_tls: format!("localhost:{sasl_tls}"),
            ca,
        }))
    }

    /// The address without security, where everything is allowed.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// Allows these operations to a user, and waits until the broker applies it.
    pub fn allow(&self, user: &str, resource: Resource<'_>, operations: &[Operation]) {
        use sys::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW as ALLOW;
        operations.iter().for_each(|operation| self.set(user, resource, *operation, ALLOW));
    }

    /// Denies this operation to a user; a denial has precedence.
    pub fn deny(&self, user: &str, resource: Resource<'_>, operation: Operation) {
        use sys::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_DENY as DENY;
        self.set(user, resource, operation, DENY);
    }

    fn set(
        &self,
        user: &str,
        resource: Resource<'_>,
        operation: Operation,
        permission: sys::rd_kafka_AclPermissionType_t,
    ) {
        use sys::rd_kafka_ResourcePatternType_t as Pattern;
        use sys::rd_kafka_ResourceType_t as Type;
        let (kind, name, pattern) = match resource {
            Resource::Topic(name) => (Type::RD_KAFKA_RESOURCE_TOPIC, name, Pattern::RD_KAFKA_RESOURCE_PATTERN_LITERAL),
            Resource::Group(name) => (Type::RD_KAFKA_RESOURCE_GROUP, name, Pattern::RD_KAFKA_RESOURCE_PATTERN_LITERAL),
            Resource::TransactionalIds(name) => {
                (Type::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID, name, Pattern::RD_KAFKA_RESOURCE_PATTERN_PREFIXED)
            }
        };
        let text = |text: &str| CString::new(text).expect("no NUL in it");
        let (name, principal, host) = (text(name), text(&format!("User:{user}")), text("*"));
        let client: BaseConsumer = client_config(self.kafka.brokers()).create().expect("a valid configuration");
        let mut message = [0; 512];
        // SAFETY: the client and the texts are alive; the objects created here are destroyed once, and the error is a copy.
        let code = unsafe {
            let rk = client.client().native_ptr();
            let mut binding = sys::rd_kafka_AclBinding_new(
                kind,
                name.as_ptr(),
                pattern,
                principal.as_ptr(),
                host.as_ptr(),
                operation,
                permission,
                message.as_mut_ptr(),
                message.len(),
            );
            assert!(!binding.is_null(), "a valid permission: {message:?}");
            let queue = sys::rd_kafka_queue_new(rk);
            sys::rd_kafka_CreateAcls(rk, &raw mut binding, 1, std::ptr::null(), queue);
            let event = sys::rd_kafka_queue_poll(queue, TIMEOUT.as_millis() as i32);
            assert!(!event.is_null(), "the broker answers");
            let code = sys::rd_kafka_event_error(event);
            sys::rd_kafka_event_destroy(event);
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_AclBinding_destroy(binding);
            code
        };
        assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR, "{user} {resource:?} {operation:?}");
    }

    /// Waits until this user can describe this topic: permissions take effect after a moment.
    pub fn wait_until_visible(&self, user: &str, topic: &str) -> Result<()> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.sasl).set("security.protocol", "sasl_plaintext");
        config.set("sasl.mechanism", "PLAIN").set("sasl.username", user).set("sasl.password", PASSWORD);
        let client: BaseConsumer = config.create()?;
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let metadata = client.fetch_metadata(Some(topic), TIMEOUT)?;
            if metadata.topics().first().is_some_and(|found| found.error().is_none()) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{user} may not see {topic}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A certificate for `localhost` that signs itself: as a keystore for the broker, and as PEM for clients.
fn certificate(dir: &Path) -> Result<(PathBuf, PathBuf)> {
    let (keystore, pem) = (dir.join("keystore.p12"), dir.join("ca.pem"));
    let keytool = |arguments: &[&str]| {
        let mut keytool = Command::new("keytool");
        keytool.args(arguments).arg("-keystore").arg(&keystore);
        keytool.args(["-storetype", "PKCS12", "-storepass", PASSWORD, "-alias", "broker"]);
        keytool
    };
    let names = ["-dname", "CN=localhost", "-ext", "san=dns:localhost", "-ext", "bc=ca:true"];
    run(keytool(
        &[&["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "30"], &names[..]].concat(),
    ))?;
    let mut export = keytool(&["-exportcert", "-rfc"]);
    export.arg("-file").arg(&pem);
    run(export).context("exporting the certificate")?;
    Ok((keystore, pem))
}
