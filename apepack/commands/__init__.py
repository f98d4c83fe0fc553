"""The sub-commands of apepack, one module each; the first word of a command line names one."""
