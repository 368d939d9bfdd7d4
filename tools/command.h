/* The subcommands: one function each, in a file cmd_NAME.c. argv[0] is the subcommand's name; what is returned is
 * the exit status. bench lives with its harness in bench/cmd_bench.c. */
#ifndef PUMICE_TOOLS_COMMAND_H
#define PUMICE_TOOLS_COMMAND_H

int cmd_run(int argc, char **argv);
int cmd_score(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_fill(int argc, char **argv);
int cmd_translate(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_devices(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_detokenize(int argc, char **argv);
int cmd_tokenizer_train(int argc, char **argv);
int cmd_tokenizer_check(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_synth(int argc, char **argv);
int cmd_pull(int argc, char **argv);

#endif
