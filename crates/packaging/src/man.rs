//! Manual pages: one for the program and each of its commands, made from the command line, and
//! `roustabout.toml(5)`, which is the example config.

use anyhow::Context;
use clap::Command;

/// By file name.
pub(crate) fn pages(
    command: Command,
    example: &str,
    version: &str,
) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let name = command.get_name().to_owned();
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut found = Vec::new();
    add(&mut found, &command, &name, version)?;
    found.push((format!("{name}.toml.5"), config(&name, example, version)));
    Ok(found)
}

fn add(
    found: &mut Vec<(String, Vec<u8>)>,
    command: &Command,
    name: &str,
    version: &str,
) -> anyhow::Result<()> {
    // Named as its page is. Without its feature for owned strings clap wants such as live forever; there are few.
    let forever = |text: &str| -> &'static str { text.to_owned().leak() };
    let named = command.clone().name(forever(name)).display_name(name).version(forever(version));
    let page =
        clap_mangen::Man::new(named).source(format!("roustabout {version}")).manual("roustabout");
    let mut text = Vec::new();
    page.render(&mut text).with_context(|| name.to_owned())?;
    if found.is_empty() {
        text.extend_from_slice(SEE_ALSO.as_bytes());
    }
    found.push((format!("{name}.1"), text));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        add(found, inner, &format!("{name}-{}", inner.get_name()), version)?;
    }
    Ok(())
}

const SEE_ALSO: &str = ".SH FILES
/etc/roustabout/roustabout.toml
.SH \"SEE ALSO\"
roustabout.toml(5), /usr/share/doc/roustabout
";

fn config(name: &str, example: &str, version: &str) -> Vec<u8> {
    let mut page = format!(
        ".TH {name}.toml 5 \"\" \"roustabout {version}\" \"roustabout\"\n\
         .SH NAME\n{name}.toml \\- the config of roustabout\n\
         .SH DESCRIPTION\nEvery key, with its default or an example. Environment variables override the file: \
         ROUSTABOUT__WEBHOOK__LISTEN is webhook.listen.\n.PP\n.nf\n"
    );
    for line in example.lines() {
        // A dot or an apostrophe at the beginning would be a request.
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        page += if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        page += &line;
        page.push('\n');
    }
    page += ".fi\n.SH \"SEE ALSO\"\nroustabout(1)\n";
    page.into_bytes()
}
