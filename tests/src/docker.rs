//! Hosts of a test's own: containers of the project's image on a network, with Docker.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::{Finished, repository, skipped};

/// What the image is called that tests build.
pub const IMAGE: &str = "hedgesweep:test";

/// A label that everything of one test bears, which is its value.
const LABEL: &str = "hedgesweep-test";

/// Lines of each container's log that are shown if the test fails.
const LINES_SHOWN: &str = "40";

/// Labs are open one at a time: two fleets would take each other's processors.
static OPEN: Mutex<()> = Mutex::new(());

/// Where a test has its containers. When it is closed, also by a panic, they and their network are gone.
pub struct Lab {
    name: String,
    _open: MutexGuard<'static, ()>,
}

/// Whether a command can be had; if not, the test is skipped and says so.
pub fn can_run(command: &[&str]) -> bool {
    let (program, arguments) = command.split_first().expect("a program");
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Lab {
    /// A lab for a test of this name, in which there is nothing yet but its network; none, and a word about it, where there
    /// is no Docker.
    pub fn open(test: &str) -> Option<Lab> {
        if !can_run(&["docker", "info"]) {
            skipped("there is no Docker");
            return None;
        }
        let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let lab = Lab { name: format!("hedgesweep-{test}-{}", std::process::id()), _open: open };
        lab.docker(["network", "create", "--label", &format!("{LABEL}={}", lab.name), &lab.name]);
        Some(lab)
    }

    /// Builds [`IMAGE`] from what is in the repository now, once for all tests of a process.
    ///
    /// # Panics
    /// If it cannot be built.
    pub fn image() -> &'static str {
        static BUILT: OnceLock<()> = OnceLock::new();
        BUILT.get_or_init(|| {
            let build = Command::new("deploy/build-image").arg(IMAGE).current_dir(repository()).output();
            let build: Finished = build.expect("deploy/build-image starts").into();
            build.expect_code(0);
        });
        IMAGE
    }

    /// What a container of the lab is called.
    pub fn container(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// The lab's network.
    pub fn network(&self) -> &str {
        &self.name
    }

    /// Starts a container in the lab's network, where it is known by its name. It may do nothing but what its user may,
    /// and write nowhere but in its volumes.
    pub fn start(&self, name: &str, options: &[&str], command: &[&str]) {
        let (label, container) = (format!("{LABEL}={}", self.name), self.container(name));
        let run = ["run", "--detach", "--label", &label, "--name", &container, "--network", &self.name];
        let confined = ["--network-alias", name, "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"];
        self.docker(run.iter().chain(&confined).chain(options).chain(&[Lab::image()]).chain(command));
    }

    /// Docker's answer to a command, without white space around it.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn docker(&self, arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> String {
        let finished: Finished = Command::new("docker").args(arguments).output().expect("docker starts").into();
        finished.expect_code(0).stdout.trim().to_owned()
    }

    /// What a container wrote so far.
    pub fn log(&self, name: &str) -> String {
        let log: Finished =
            Command::new("docker").args(["logs", &self.container(name)]).output().expect("docker starts").into();
        log.stdout + &log.stderr
    }

    /// The exit code of a container, when it has ended.
    ///
    /// # Panics
    /// If there is no such container.
    #[track_caller]
    pub fn exit_code(&self, name: &str) -> i32 {
        self.docker(["wait", &self.container(name)]).parse().expect("an exit code")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let filter = format!("label={LABEL}={}", self.name);
        let docker = |arguments: &[&str]| Command::new("docker").args(arguments).output();
        let Ok(containers) = docker(&["ps", "--all", "--quiet", "--filter", &filter]) else { return };
        let containers = String::from_utf8_lossy(&containers.stdout).into_owned();
        for container in containers.split_whitespace() {
            if std::thread::panicking() {
                // To where it is shown only if the test fails.
                let log = docker(&["logs", "--tail", LINES_SHOWN, container]).map(Finished::from);
                let name =
                    docker(&["inspect", "--format", "{{.Name}} {{.State.Status}}", container]).map(Finished::from);
                if let (Ok(log), Ok(name)) = (log, name) {
                    eprintln!("--- {}{}{}", name.stdout, log.stdout, log.stderr);
                }
            }
            // Nothing can be done if they stay.
            let _ = docker(&["rm", "--force", "--volumes", container]);
        }
        let _ = docker(&["network", "rm", &self.name]);
    }
}

/// Whom a container runs as that writes into a folder of the test's, as `--user` wants it: the image's own user where the
/// test is root, who can give the folder away, and else the test's.
///
/// # Panics
/// If the folder is not there.
#[cfg(unix)]
pub fn user_for(folder: &Path) -> String {
    use std::os::unix::fs::{MetadataExt, chown};
    const IMAGES_OWN: u32 = 65532;
    let owner = std::fs::metadata(folder).expect("the folder is there");
    if owner.uid() == 0 {
        chown(folder, Some(IMAGES_OWN), Some(IMAGES_OWN)).expect("root may");
        return format!("{IMAGES_OWN}:{IMAGES_OWN}");
    }
    format!("{}:{}", owner.uid(), owner.gid())
}
