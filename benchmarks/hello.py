"""hello.c in Python, for the cost of starting it when other tools pack it into one file."""


def main() -> None:
    """Say hello."""
    print("hello, world")  # noqa: T201 -- a program, not a library


if __name__ == "__main__":
    main()
