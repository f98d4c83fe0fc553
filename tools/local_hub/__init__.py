"""A small Hugging Face Hub on this machine, for tests and to try `apepack publish` without an account.

It answers what huggingface_hub asks when it creates a repository, uploads files in one commit and downloads them, with
Git LFS or with chunks (xet). It has no users, no pages, no other kinds of repositories, and must not be open to others.
"""
