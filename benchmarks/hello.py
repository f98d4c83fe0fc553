"""What hello.c does, in Python, for what starting it costs when it is packed into one file by others."""


def main() -> None:
    """Say hello."""
    print("hello, world")  # noqa: T201 -- a program, not a library


if __name__ == "__main__":
    main()
