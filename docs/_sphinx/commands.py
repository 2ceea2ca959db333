"""The directive ``commands``: every command of `jpvae` with what it does and its options, read from the program itself."""

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util.typing import ExtensionMetadata


class Commands(Directive):
    """One section per command."""

    def run(self):
        """The sections."""
        import typer

        from jpvae.commands.program import program

        made = []
        for name, command in sorted(typer.main.get_command(program()).commands.items()):
            section = nodes.section(ids=[f"jpvae-{name}"], names=[f"jpvae-{name}"])
            section += nodes.title("", f"jpvae {name}")
            for paragraph in (command.help or "").split("\n\n"):
                section += nodes.paragraph("", " ".join(paragraph.split()))
            section += nodes.literal_block("", command.epilog.removeprefix("Example: "), language="console")
            section += options(command)
            made.append(section)
        return made


def options(command):
    """A definition list."""
    listed = nodes.definition_list()
    for parameter in command.params:
        words = parameter.opts if parameter.param_type_name == "option" else [parameter.metavar or parameter.name]
        item = nodes.definition_list_item()
        term = nodes.term()
        term += nodes.literal("", ", ".join([*words, *parameter.secondary_opts]))
        if parameter.param_type_name == "option" and parameter.metavar:
            term += nodes.Text(f" {parameter.metavar}")
        item += term
        item += nodes.definition("", nodes.paragraph("", getattr(parameter, "help", "") or ""))
        listed += item
    return listed


def setup(app) -> ExtensionMetadata:
    """For Sphinx."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
