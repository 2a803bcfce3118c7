//! The Terraform module, by OpenTofu: as it is written (`module`), applied to the simulated GitHub, a Nomad and an
//! OpenBao, changed and destroyed (`installation`). Its providers are the real ones where a mirror of them is given
//! (`scripts/get-terraform-providers`), else stand-ins with their attributes (`attributes`).

mod attributes;
mod installation;
mod module;
mod tofu;
