//! A pod on this machine: namespaces of its own, in which a stand-in for the dbt server and nginx run.
//!
//! ```text
//! network namespace ──┬── nginx/server.py on 127.0.0.1:8585
//!                     ├── mount and pid namespace: the image, the volumes ── nginx
//!                     └── curl
//! ```
//!
//! It needs root, for the namespaces, and `unshare`, `nsenter`, `setpriv`, `ip`, `curl` and `python3` of the machine. The image's start
//! scripts are not here: they end in the command by which nginx is started here.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use dbt_controller_tests::{Namespace, until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::spec::Container;
use super::volume;

/// The image's files.
pub(super) const PASSWD: &str = include_str!("image/passwd");
const GROUP: &str = include_str!("image/group");
const NGINX_CONF: &str = include_str!("image/nginx.conf");
const MIME_TYPES: &str = include_str!("image/mime.types");
const COMPILED_CONF: &str = include_str!("image/compiled.conf");

/// A running pod. Its processes end when this is dropped.
pub(super) struct Pod {
    folder: TempDir,
    server: Child,
    /// `unshare`, whose one child is nginx.
    nginx: Child,
    rights: Vec<String>,
}

/// What nginx answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The header `WWW-Authenticate`; empty without one.
    pub(super) challenge: String,
    pub(super) body: String,
}

impl Pod {
    /// Starts one whose image has the pid file of nginx at this path, and does not wait for nginx.
    pub(super) async fn launch(container: &Container, pid_file: &str, namespace: &Namespace) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes namespaces: run it as root");
        let folder = TempDir::new().unwrap();
        let (image, volumes) = (folder.path().join("image"), folder.path().join("volumes"));
        let program = namespace.plane().tool("nginx");
        assert!(program.exists(), "there is no nginx: `cargo xtask cluster build` gets it");
        make_image(&image, &program, pid_file);
        let server = start_server();
        until("the pod has a network of its own", async || has_own_network(&server).then_some(())).await;
        let mut command = in_network(&server, "unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh"]).arg(fixture("container.sh"));
        command.arg(&image).arg(if container.writes_to_image { "rw" } else { "ro" });
        for mount in &container.mounts {
            let volume = volume::make(&mount.volume, container.volume_group, namespace, &volumes).await;
            // Of a link only the target can be mounted.
            let source = mount.sub_path.as_ref().map_or(volume.clone(), |path| fs::canonicalize(volume.join(path)).unwrap());
            let target = resolved(&image, &mount.path);
            make_mount_point(&image, &target, source.is_dir());
            command.arg(source).arg(target).arg(if mount.read_only { "ro" } else { "rw" });
        }
        let rights = container.rights();
        // The rights are changed after `unshare` asked for its child's end at its own, which the kernel forgets then.
        command.args(["--", "setpriv", "--pdeathsig=KILL"]).args(&rights);
        // Of what Debian's nginx was compiled with, what is not in `compiled.conf`.
        command.args(["/nginx", "-p", "/etc/nginx", "-e", "/var/log/nginx/error.log", "-g", "daemon off;"]);
        let log = log_file(&folder, container);
        let nginx = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { folder, server, nginx, rights }
    }

    /// Starts one and waits until its nginx hands requests on.
    pub(super) async fn start(container: &Container, pid_file: &str, namespace: &Namespace) -> Self {
        let mut pod = Self::launch(container, pid_file, namespace).await;
        until("nginx answers", async || {
            if let Some(status) = pod.nginx.try_wait().unwrap() {
                panic!("nginx ended with {status}: {}", pod.log());
            }
            let answer = pod.try_curl(&["--request", "POST", "http://127.0.0.1:8080/ready"]).await?;
            (answer.status == 200).then_some(())
        })
        .await;
        pod
    }

    /// What nginx answers to a request of curl.
    pub(super) async fn curl(&self, arguments: &[&str]) -> Answer {
        self.try_curl(arguments).await.unwrap_or_else(|| panic!("no answer to {arguments:?}: {}", self.log()))
    }

    /// The same; none if there is no answer.
    async fn try_curl(&self, arguments: &[&str]) -> Option<Answer> {
        let mut command = in_network(&self.server, "curl");
        command.args(["--silent", "--write-out", "\n%header{www-authenticate}\n%{http_code}"]).args(arguments);
        let output = command.output().await.unwrap();
        let text = output.status.success().then(|| String::from_utf8(output.stdout).unwrap())?;
        let (rest, status) = text.rsplit_once('\n')?;
        let (body, challenge) = rest.rsplit_once('\n')?;
        Some(Answer { status: status.parse().unwrap(), challenge: challenge.to_owned(), body: body.to_owned() })
    }

    /// The status of nginx's processes, as `/proc` has it: the master's, then those of its workers.
    pub(super) fn processes(&self) -> Vec<String> {
        let master = self.master();
        let workers = children(master);
        [master].into_iter().chain(workers).map(|id| fs::read_to_string(format!("/proc/{id}/status")).unwrap()).collect()
    }

    /// The files and folders that nginx's user may write to, but for devices and what the kernel shows. A link is what it leads to.
    pub(super) async fn writable(&self) -> Vec<String> {
        let mut command = Command::new("nsenter");
        command.args([&format!("--target={}", self.master()), "--mount", "--pid", "--root", "--wd", "setpriv"]).args(&self.rights);
        // What is in /usr is only mounted for reading, as /usr itself.
        let skipped = ["-path", "/proc", "-o", "-path", "/dev", "-o", "-path", "/usr/*"];
        command.args(["find", "/", "("]).args(skipped).args([")", "-prune", "-o", "!", "-type", "l", "-writable", "-print"]);
        let output = command.kill_on_drop(true).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Where a path of the container leads to.
    pub(super) fn resolved(&self, path: &str) -> String {
        resolved(&self.folder.path().join("image"), path).to_str().unwrap().to_owned()
    }

    /// Sends a signal to nginx.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.master()).unwrap(), signal).unwrap();
    }

    /// Waits for nginx's end.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        until("nginx ends", async || self.nginx.try_wait().unwrap()).await
    }

    /// What nginx wrote.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// A file of this many `x`.
    pub(super) fn file_of(&self, bytes: usize) -> String {
        let path = self.folder.path().join("body");
        fs::write(&path, vec![b'x'; bytes]).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn master(&self) -> i32 {
        let [master] = children(id(&self.nginx))[..] else { panic!("nginx does not run: {}", self.log()) };
        master
    }
}

/// The files of the image that matter to nginx, and its program.
fn make_image(image: &Path, program: &Path, pid_file: &str) {
    for folder in ["dev", "etc/nginx/conf.d", "proc", "run", "tmp", "usr", "var/cache/nginx", "var/log/nginx"] {
        fs::create_dir_all(image.join(folder)).unwrap();
    }
    fs::set_permissions(image.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    for (link, target) in [
        ("bin", "usr/bin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
        ("sbin", "usr/sbin"),
        ("var/run", "/run"),
        ("var/log/nginx/access.log", "/dev/stdout"),
        ("var/log/nginx/error.log", "/dev/stderr"),
    ] {
        symlink(target, image.join(link)).unwrap();
    }
    for (file, text) in [
        ("etc/passwd", PASSWD),
        ("etc/group", GROUP),
        ("etc/nginx/nginx.conf", &NGINX_CONF.replace("@PID_FILE@", pid_file)),
        ("etc/nginx/mime.types", MIME_TYPES),
        ("etc/nginx/conf.d/compiled.conf", COMPILED_CONF),
    ] {
        fs::write(image.join(file), text).unwrap();
    }
    fs::copy(program, image.join("nginx")).unwrap();
}

/// Where a path of an image leads to when its links are followed inside of it, as a container runtime does.
fn resolved(image: &Path, path: &str) -> PathBuf {
    let mut place = PathBuf::from("/");
    for part in Path::new(path).components() {
        let Component::Normal(part) = part else { continue };
        place.push(part);
        if let Ok(target) = fs::read_link(inside(image, &place)) {
            place.pop();
            place = resolved(image, place.join(target).to_str().unwrap());
        }
    }
    place
}

/// A path of an image on this machine.
fn inside(image: &Path, path: &Path) -> PathBuf {
    image.join(path.strip_prefix("/").unwrap())
}

/// A container runtime makes what is not there.
fn make_mount_point(image: &Path, target: &Path, is_folder: bool) {
    let target = inside(image, target);
    if is_folder {
        fs::create_dir_all(&target).unwrap();
    } else if !target.exists() {
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        File::create(&target).unwrap();
    }
}

/// What nginx writes to standard output and error. They belong to the container's user, as a container runtime arranges it: else the
/// links by which the image's logs lead there could not be opened.
///
/// <https://github.com/opencontainers/runc/blob/v1.3.0/libcontainer/init_linux.go> (`fixStdioPermissions`)
fn log_file(folder: &TempDir, container: &Container) -> File {
    let path = folder.path().join("log");
    let log = OpenOptions::new().create(true).append(true).open(&path).unwrap();
    chown(&path, Some(container.user), None).unwrap();
    log
}

/// Starts the stand-in for the dbt server, which holds the network namespace.
fn start_server() -> Child {
    let mut command = bound("unshare");
    command.args(["--net", "sh", "-c", r#"ip link set lo up && exec python3 "$0""#]).arg(fixture("server.py"));
    command.spawn().unwrap()
}

/// Whether it is past its start as a process of the machine's network.
fn has_own_network(server: &Child) -> bool {
    let network = |id: &str| fs::read_link(format!("/proc/{id}/ns/net")).unwrap();
    network(&id(server).to_string()) != network("self")
}

/// A program in the network of this process.
fn in_network(server: &Child, program: &str) -> Command {
    let mut command = bound("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", id(server))).arg(program);
    command
}

/// A program that ends when this one ends, even when that is killed.
fn bound(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null()).kill_on_drop(true);
    command.args(["--pdeathsig=KILL", program]);
    command
}

fn id(process: &Child) -> i32 {
    process.id().expect("nobody has waited for it").try_into().unwrap()
}

fn children(id: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    text.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/nginx").join(name)
}
