//! A proxy before Nomad or GitHub that can hold a request before it is passed on, or its
//! answer before it is handed back, or cut the answer off: so that a daemon can be killed at
//! exactly that moment.
