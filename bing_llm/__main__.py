"""`python -m bing_llm` is `bing-llm`."""

from bing_llm.cli import main

if __name__ == "__main__":
    main()
