//! What a policy can allow: the capabilities in a namespace and on paths of Variables, and the
//! coarse words `read`, `write`, … that stand for several of them.
//!
//! Names only; who has them is in `grants.rs`, which policy says so in `rules.rs`. All that 1.11.3
//! knows is here (acl/policy.go; `[V]` for those that the record tries), also what nothing in the
//! stand-in asks for, for a policy with an unknown name is refused as a whole.

use std::fmt;

/// An enum whose variants have Nomad's names.
macro_rules! named {
    ($(#[$about:meta])* $kind:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $kind { $($variant,)* }

        impl $kind {
            /// None: there is none of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named! {
    /// In a namespace.
    Capability {
        Deny = "deny",
        ListJobs = "list-jobs",
        ParseJob = "parse-job",
        ReadJob = "read-job",
        SubmitJob = "submit-job",
        DispatchJob = "dispatch-job",
        ReadLogs = "read-logs",
        ReadFs = "read-fs",
        AllocExec = "alloc-exec",
        AllocNodeExec = "alloc-node-exec",
        AllocLifecycle = "alloc-lifecycle",
        SentinelOverride = "sentinel-override",
        CsiRegisterPlugin = "csi-register-plugin",
        CsiWriteVolume = "csi-write-volume",
        CsiReadVolume = "csi-read-volume",
        CsiListVolume = "csi-list-volume",
        CsiMountVolume = "csi-mount-volume",
        HostVolumeCreate = "host-volume-create",
        HostVolumeRegister = "host-volume-register",
        HostVolumeRead = "host-volume-read",
        HostVolumeWrite = "host-volume-write",
        HostVolumeDelete = "host-volume-delete",
        ListScalingPolicies = "list-scaling-policies",
        ReadScalingPolicy = "read-scaling-policy",
        ReadJobScaling = "read-job-scaling",
        ScaleJob = "scale-job",
        SubmitRecommendation = "submit-recommendation",
        RegisterJob = "register-job",
        RevertJob = "revert-job",
        DeregisterJob = "deregister-job",
        PurgeJob = "purge-job",
        EvaluateJob = "evaluate-job",
        PlanJob = "plan-job",
        TagJobVersion = "tag-job-version",
        StableJob = "stable-job",
        FailDeployment = "fail-deployment",
        PauseDeployment = "pause-deployment",
        PromoteDeployment = "promote-deployment",
        UnblockDeployment = "unblock-deployment",
        CancelDeployment = "cancel-deployment",
        SetAllocHealthDeployment = "set-alloc-health-deployment",
        GcAllocation = "gc-allocation",
        PauseAllocation = "pause-allocation",
        ForcePeriodicJob = "force-periodic-job",
        DeleteServiceRegistration = "delete-service-registration",
    }
}

named! {
    /// On a path of Variables.
    OnVariables {
        List = "list",
        Read = "read",
        Write = "write",
        Destroy = "destroy",
        Deny = "deny",
    }
}

named! {
    /// On a node pool.
    OnNodePool {
        Delete = "delete",
        Deny = "deny",
        Read = "read",
        Write = "write",
    }
}

named! {
    /// On a host volume.
    OnHostVolume {
        Deny = "deny",
        MountReadOnly = "mount-readonly",
        MountReadWrite = "mount-readwrite",
    }
}

named! {
    /// `policy = "…"`. Of two policies the later one here wins, and so does a denial.
    Word {
        List = "list",
        Scale = "scale",
        Read = "read",
        Write = "write",
        Deny = "deny",
    }
}

const READ: [Capability; 9] = [
    Capability::ListJobs,
    Capability::ParseJob,
    Capability::ReadJob,
    Capability::CsiListVolume,
    Capability::CsiReadVolume,
    Capability::ReadJobScaling,
    Capability::ListScalingPolicies,
    Capability::ReadScalingPolicy,
    Capability::HostVolumeRead,
];

const WRITE_TOO: [Capability; 11] = [
    Capability::ScaleJob,
    Capability::SubmitJob,
    Capability::DispatchJob,
    Capability::ReadLogs,
    Capability::ReadFs,
    Capability::AllocExec,
    Capability::AllocLifecycle,
    Capability::CsiMountVolume,
    Capability::CsiWriteVolume,
    Capability::SubmitRecommendation,
    Capability::HostVolumeCreate,
];

const SCALE: [Capability; 6] = [
    Capability::ListScalingPolicies,
    Capability::ReadScalingPolicy,
    Capability::ReadJobScaling,
    Capability::ScaleJob,
    Capability::ReadJob,
    Capability::SubmitRecommendation,
];

impl Word {
    /// What the word stands for in a namespace.
    #[must_use]
    pub fn in_namespace(self) -> Vec<Capability> {
        match self {
            Self::Deny => vec![Capability::Deny],
            Self::Read => READ.to_vec(),
            Self::Write => READ.into_iter().chain(WRITE_TOO).collect(),
            Self::Scale => SCALE.to_vec(),
            Self::List => Vec::new(),
        }
    }

    #[must_use]
    pub fn on_node_pool(self) -> Vec<OnNodePool> {
        match self {
            Self::Deny => vec![OnNodePool::Deny],
            Self::Read => vec![OnNodePool::Read],
            Self::Write => vec![OnNodePool::Delete, OnNodePool::Read, OnNodePool::Write],
            Self::Scale | Self::List => Vec::new(),
        }
    }

    #[must_use]
    pub fn on_host_volume(self) -> Vec<OnHostVolume> {
        match self {
            Self::Deny => vec![OnHostVolume::Deny],
            Self::Read => vec![OnHostVolume::MountReadOnly],
            Self::Write => vec![OnHostVolume::MountReadOnly, OnHostVolume::MountReadWrite],
            Self::Scale | Self::List => Vec::new(),
        }
    }
}

impl Capability {
    /// What comes with it.
    #[must_use]
    pub fn implied(self) -> &'static [Self] {
        match self {
            Self::HostVolumeWrite => &[
                Self::HostVolumeRegister,
                Self::HostVolumeCreate,
                Self::HostVolumeDelete,
                Self::HostVolumeRead,
            ],
            Self::HostVolumeRegister => &[Self::HostVolumeCreate, Self::HostVolumeRead],
            Self::HostVolumeCreate => &[Self::HostVolumeRead],
            _ => &[],
        }
    }
}

impl OnVariables {
    /// The list as Nomad keeps it: a denial alone, and `list` with every `read`.
    #[must_use]
    pub fn expanded(mut listed: Vec<Self>) -> Vec<Self> {
        if listed.contains(&Self::Deny) {
            return vec![Self::Deny];
        }
        if listed.contains(&Self::Read) && !listed.contains(&Self::List) {
            listed.push(Self::List);
        }
        listed
    }
}
