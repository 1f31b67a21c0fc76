"""The page in a real Chromium: with a fake server, and with the real one."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import fastapi
import pytest
import uvicorn
from fastapi.responses import JSONResponse

from tiebreak import load_judge
from tiebreak.serving import create_app
from tiebreak.serving.page import CONTENT_SECURITY_POLICY, page_files
from tiebreak.serving.schema import CompareRequest, CompareResponse, ModelResponse, RankRequest, RankResponse
from tiebreak.training import TrainingResult

sync_api = pytest.importorskip("playwright.sync_api")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

NASTY = 'A “quoted" \'answer\'\n\n</script><img src=x onerror="document.title=1"> 🙂👩‍🚀 \\ & <b>'
PAIR = CompareResponse.model_validate(
    {
        "verdict": "model_a",
        "probabilities": {"model_a": 0.712, "model_b": 0.1034, "tie": 0.1846},
        "orders": {
            "as_given": {"model_a": 0.74, "model_b": 0.08, "tie": 0.18},
            "swapped": {"model_a": 0.684, "model_b": 0.1268, "tie": 0.1892},
        },
        "disagreement": 0.056,
        "rewards": None,
        "calibrated": True,
        "tokens_read": 1432,
        "tokens_lost": 0,
    }
)
REWARDS = PAIR.model_copy(update={"orders": None, "disagreement": None, "rewards": (2.5, -0.5), "calibrated": False})
RANKING = RankResponse.model_validate(
    {
        "best": 2,
        "ranking": [
            {"index": 2, "rank": 1, "reward": 1.75, "normalised": None},
            {"index": 0, "rank": 2, "reward": 0.5, "normalised": None},
            {"index": 3, "rank": 2, "reward": 0.5, "normalised": None},
            {"index": 1, "rank": 4, "reward": -2.25, "normalised": None},
        ],
        "comparisons": 6,
        "tokens_lost": 0,
    }
)


class Fake:
    """A server that answers as a test wants, and records the requests."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.verdict = PAIR
        self.ranking = RANKING
        self.kind = "pairwise"
        self.refusal: tuple[int, str, dict[str, str]] | None = None
        self.key: str | None = None
        self.delay = 0.0
        self.asked: list[CompareRequest | RankRequest] = []

    def answer(self, asked: CompareRequest | RankRequest, answer: CompareResponse | RankResponse) -> Any:
        self.asked.append(asked)
        time.sleep(self.delay)
        if self.refusal is not None:
            status, message, headers = self.refusal
            return refuse(status, message, headers)
        return answer


def refuse(status: int, message: str, headers: dict[str, str] | None = None) -> Any:
    error = {
        "error": {"message": message, "type": "out_of_memory" if "memory" in message else "refused", "code": status}
    }
    return JSONResponse(error, status, headers)


def fake_app(fake: Fake) -> Any:
    app = fastapi.FastAPI()

    async def ask_for_key(request: Any, call_next: Any) -> Any:
        is_open = fake.key is None or not request.url.path.startswith("/v1")
        if is_open or request.headers.get("authorization") == f"Bearer {fake.key}":
            return await call_next(request)
        return refuse(401, "Give the server's API key: the header `Authorization: Bearer KEY`.")

    app.middleware("http")(ask_for_key)

    def page_file(path: str, media_type: str, body: bytes) -> None:
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        app.get(path)(lambda: fastapi.Response(body, media_type=media_type, headers=headers))

    for path, (media_type, body) in page_files().items():
        page_file(path, media_type, body)

    # The annotations are set by hand: as strings they would be looked up where FastAPI cannot see them.
    def model() -> Any:
        limits = {"body_bytes": 1_000_000, "texts": 64, "tokens": 2048, "queue": 256, "seconds": 60}
        about = {
            "name": "gemma2-9b-qlora",
            "tiebreak": version("tiebreak"),
            "kind": fake.kind,
            "gives_rewards": fake.kind == "pointwise",
            "base_model": "google/gemma-2-9b-it",
            "calibration": "temperature",
            "metrics": {"loss": 0.5656, "accuracy": 0.744},
            "recipe": None,
            "limits": limits,
        }
        return ModelResponse.model_validate(about)

    def compare(asked: Any) -> Any:
        return fake.answer(asked, fake.verdict)

    def rank(asked: Any) -> Any:
        return fake.answer(asked, fake.ranking)

    compare.__annotations__["asked"] = CompareRequest
    rank.__annotations__["asked"] = RankRequest
    app.get("/v1/model")(model)
    app.post("/v1/compare")(compare)
    app.post("/v1/rank")(rank)
    return app


@contextmanager
def served(app: Any) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def fake() -> Fake:
    return Fake()


@pytest.fixture(scope="module")
def address(fake: Fake) -> Iterator[str]:
    with served(fake_app(fake)) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """A page that sends requests to its own server only, and writes no errors to the console."""
    context = browser.new_context(reduced_motion="reduce", permissions=["clipboard-read", "clipboard-write"], **options)
    context.set_default_timeout(3000)
    page = context.new_page()
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in {"error", "warning"} else None)
    page.goto(address)
    yield page
    context.close()
    own = address.split("#", maxsplit=1)[0]
    assert [url for url in requests if not url.startswith((own, "data:image/svg+xml"))] == []
    assert [error for error in errors if not error.startswith("Failed to load resource")] == []  # an error status


@pytest.fixture
def page(browser: Browser, address: str, fake: Fake) -> Iterator[Page]:
    fake.reset()
    with opened(browser, address) as page:
        yield page


def expect(locator: Locator) -> Any:
    return sync_api.expect(locator)


def fill(page: Page, prompt: str = "Why?", *answers: str) -> None:
    answers = answers or ("Because.", "No idea.")
    page.fill("#prompt", prompt)
    for i, text in enumerate(answers):
        if i > 1:
            page.click("#add")
        page.get_by_label(f"Answer {'ABCDEF'[i]}", exact=True).fill(text)


def texts(page: Page) -> list[str]:
    return [field.input_value() for field in page.locator("#comparison textarea").all()]


def plain(locator: Locator) -> str:
    return locator.inner_text().replace("\u00a0", " ")


def verdict(page: Page) -> str:
    page.locator("#verdict").wait_for()
    return plain(page.locator("#verdict"))


def numbers(page: Page, rows: str = "#probabilities li") -> list[str]:
    return [plain(row).split("\n")[-1] for row in page.locator(rows).all()]


def widths(page: Page, bars: str) -> list[float]:
    """Of the filled parts, as shares of their bars."""
    script = "fills => fills.map(i => i.getBoundingClientRect().width / i.parentElement.getBoundingClientRect().width)"
    shares: list[float] = page.locator(f"{bars} > i").evaluate_all(script)
    return shares


def test_compare_shows_the_response(page: Page, fake: Fake) -> None:
    fill(page)
    page.click("#judge")
    assert verdict(page) == "People would most likely prefer A (71 %)"
    assert numbers(page) == ["71.2 %", "10.3 %", "18.5 %"]
    assert widths(page, "#probabilities .bar") == pytest.approx([0.712, 0.1034, 0.1846], abs=0.005)
    rows = [row.all_inner_texts() for row in (page.locator(f"#both-orders tr:nth-child({i}) td") for i in (1, 2, 3))]
    assert [[cell.strip().replace("\u00a0", " ") for cell in row] for row in rows] == [
        ["74.0 %", "68.4 %"],
        ["8.0 %", "12.7 %"],
        ["18.0 %", "18.9 %"],
    ]
    assert plain(page.locator("#disagreement")).startswith("The two orders differ by 5.6 points")
    assert plain(page.locator(".tokens")) == "1,432 tokens read, nothing cut."
    expect(page.locator("#announcement")).to_contain_text("People would most likely prefer A")
    assert fake.asked == [CompareRequest(prompt="Why?", answers=["Because.", "No idea."])]


def test_ties_rewards_and_truncation_are_shown(page: Page, fake: Fake) -> None:
    fake.verdict = REWARDS.model_copy(
        update={"verdict": "tie", "tokens_lost": 312, "probabilities": PAIR.probabilities.model_copy(
            update={"model_a": 0.0002, "model_b": 0.0003, "tie": 0.9995})}
    )  # fmt: skip
    fill(page)
    page.click("#judge")
    assert verdict(page) == "People would most likely call it a tie (> 99 %)"
    assert numbers(page) == ["< 0.1 %", "< 0.1 %", "> 99.9 %"]
    assert numbers(page, "#rewards li") == ["2.50", "−0.50"]
    assert "Ties aside, A would be preferred 20 times as often as B." in plain(page.locator("#result"))
    assert plain(page.locator("#cut")).startswith("312 tokens were cut")
    assert page.locator("#both-orders").count() == 0


def test_the_checkbox_selects_one_order(page: Page, fake: Fake) -> None:
    fake.verdict = PAIR.model_copy(update={"orders": None, "disagreement": None})
    fill(page)
    page.uncheck("#orders")
    page.click("#judge")
    expect(page.locator("#one-order")).to_contain_text("Judged in one order")
    assert fake.asked[0].swap == "none"
    page.click("#swap")  # the result of the other order is not known
    expect(page.locator(".stale")).to_have_count(0)
    assert [asked.answers for asked in fake.asked] == [["Because.", "No idea."], ["No idea.", "Because."]]


def test_orders_that_contradict_each_other(page: Page, fake: Fake) -> None:
    orders = PAIR.orders
    assert orders is not None
    fake.verdict = PAIR.model_copy(
        update={"disagreement": 0.61, "orders": orders.model_copy(
            update={"swapped": orders.swapped.model_copy(update={"model_a": 0.13, "model_b": 0.684})})}
    )  # fmt: skip
    fill(page)
    page.click("#judge")
    verdict(page)
    text = plain(page.locator("#disagreement"))
    assert "differ by 61.0 points and in their verdict: with A read first it is A, with B read first B" in text


def test_swap_exchanges_texts_and_result(page: Page, fake: Fake) -> None:
    fill(page)
    page.click("#judge")
    verdict(page)
    page.click("#swap")
    assert texts(page) == ["Why?", "No idea.", "Because."]
    assert verdict(page) == "People would most likely prefer B (71 %)"
    assert numbers(page) == ["10.3 %", "71.2 %", "18.5 %"]
    first = [
        cell.strip().replace("\u00a0", " ")
        for cell in page.locator("#both-orders tbody tr:first-child td").all_inner_texts()
    ]
    assert first == ["12.7 %", "8.0 %"]  # the order read first is now the second
    assert len(fake.asked) == 1
    expect(page.locator(".stale")).to_have_count(0)
    page.click("#swap")
    assert verdict(page) == "People would most likely prefer A (71 %)"


def test_a_verdict_says_when_the_texts_have_changed(page: Page) -> None:
    fill(page)
    page.click("#judge")
    verdict(page)
    page.get_by_label("Answer B", exact=True).fill("Ask me another.")
    expect(page.locator(".stale")).to_have_text("The texts have changed since this verdict.")
    page.get_by_label("Answer B", exact=True).fill("No idea.")
    expect(page.locator(".stale")).to_have_count(0)


def test_more_answers_are_ranked(page: Page, fake: Fake) -> None:
    fill(page, "Why?", "one", "two", NASTY, "four")
    expect(page.locator("#swap")).to_be_hidden()
    page.click("#judge")
    assert verdict(page) == "People would most likely prefer C"
    rows = page.locator("#ranking li")
    assert rows.locator(".place").evaluate_all("all => all.map(e => e.textContent)") == [
        f"Place {place}" for place in (1, 2, 2, 4)
    ]
    assert rows.locator(".badge").all_inner_texts() == ["C", "A", "D", "B"]
    assert rows.locator(".number").all_inner_texts() == ["1.75", "0.50", "0.50", "−2.25"]
    assert rows.locator(".text").first.text_content() == NASTY
    shares = widths(page, "#ranking .bar")
    assert shares[0] == pytest.approx(1, abs=0.01)
    assert shares[1] == shares[2] == pytest.approx(0.04 + 0.96 * 2.75 / 4, abs=0.01)
    assert fake.asked == [RankRequest(prompt="Why?", answers=["one", "two", NASTY, "four"])]
    page.get_by_role("button", name="Remove answer B").click()
    assert texts(page) == ["Why?", "one", NASTY, "four"]
    assert page.evaluate("document.activeElement.id") == "answer-B"
    page.get_by_role("button", name="Remove answer C").click()
    expect(page.locator("#judge")).to_have_text("Judge")
    expect(page.locator(".remove").first).to_be_hidden()


def test_a_shared_first_place(page: Page, fake: Fake) -> None:
    ranked = [one.model_copy(update={"rank": 1, "reward": 3.0, "normalised": 1.25}) for one in RANKING.ranking[:3]]
    fake.ranking = RANKING.model_copy(update={"ranking": ranked, "comparisons": 0})
    fill(page, "Why?", "one", "two", "three", "four")
    page.click("#judge")
    assert verdict(page) == "C, A, and D share the first place"
    assert "3.00 (1.25 SD)" in plain(page.locator("#ranking li").first)
    assert "Each answer was scored by itself" in plain(page.locator("#result"))
    ranked[1] = ranked[1].model_copy(update={"rank": 2, "reward": 2.95})
    ranked[2] = ranked[2].model_copy(update={"rank": 3, "reward": 2.0})
    page.click("#judge")
    expect(page.locator("#verdict")).to_have_text("C comes first, with A close behind")


@pytest.mark.parametrize("answers", [(NASTY, "שלום, עולם"), ("one", "two", NASTY, "four")])
def test_a_link_carries_the_comparison(page: Page, browser: Browser, address: str, answers: tuple[str, ...]) -> None:
    fill(page, f"{NASTY}\n?", *answers)
    page.click("#link")
    expect(page.locator("#notice")).to_contain_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{address}#c=")
    with opened(browser, link) as other:
        other.locator("#verdict").wait_for()  # judged without a click
        assert texts(other) == [f"{NASTY}\n?", *answers]
        assert other.title().startswith("Tiebreak")
        other.fill("#prompt", "Something else")
        assert other.evaluate("location.hash") == ""


def test_a_link_can_be_copied_by_hand(page: Page, address: str) -> None:
    page.evaluate("() => void (navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden')))")
    fill(page)
    page.click("#link")
    field = page.get_by_label("Link to copy", exact=True)
    expect(field).to_be_focused()
    assert field.input_value().startswith(f"{address}#c=")


def test_a_broken_link_says_so(browser: Browser, address: str, fake: Fake) -> None:
    fake.reset()
    with opened(browser, f"{address}#c=bm90IGpzb24") as page:
        for fragment in ("c=%%%", "c=eyJwcm9tcHQiOiJ4In0", "c=", "nonsense"):
            expect(page.locator("#notice")).to_contain_text("This link is broken")
            page.click("#swap")
            page.evaluate(
                "fragment => { document.querySelector('#notice').hidden = true; location.hash = fragment }", fragment
            )
        expect(page.locator("#notice")).to_contain_text("This link is broken")
        assert texts(page) == ["", "", ""]
        assert fake.asked == []


def test_examples_can_be_undone(page: Page, fake: Fake) -> None:
    page.click("text=A sum")
    assert texts(page) == ["1 + 1 = ?", "2", "The answer is 3."]
    expect(page.locator("#notice")).to_be_hidden()
    page.click("text=Prose")
    expect(page.locator("#notice")).to_be_hidden()  # no text of the reader is lost
    fill(page, "Mine", "my one", "my two")
    page.click("text=Four answers")
    assert len(texts(page)) == 5
    page.click("text=Restore my texts")
    assert texts(page) == ["Mine", "my one", "my two"]
    page.click("text=Clear")
    assert texts(page) == ["", "", ""]
    assert fake.asked == []


def test_empty_fields_are_not_sent(page: Page, fake: Fake) -> None:
    page.fill("#prompt", "Why?")
    page.click("#judge")
    expect(page.get_by_label("Answer A", exact=True)).to_be_focused()
    expect(page.get_by_text("Enter answer A.")).to_be_visible()
    assert page.get_by_label("Answer B", exact=True).get_attribute("aria-invalid") == "true"
    assert page.get_by_label("Prompt", exact=True).get_attribute("aria-invalid") is None
    page.get_by_label("Answer A", exact=True).fill("x")
    expect(page.get_by_text("Enter answer A.")).to_be_hidden()
    assert fake.asked == []


REFUSALS = (
    (
        422,
        "answers.1: 5,000 tokens, more than the judge's 2,048.",
        "The judge cannot process these texts",
        "Change the texts",
    ),
    (413, "The request has 2,000,000 bytes; at most 1,000,000.", "too long for this server", "Shorten them"),
    (503, "The server is stopping.", "stopping or not ready", "Try again when it is back"),
    (504, "Given up after 60 seconds.", "took too long", "shorter texts"),
    (503, "Out of memory: 1 text of 9,000 tokens.", "do not fit into the judge's memory", "Shorten them"),
    (500, "Something broke.", "went wrong on the server (500)", "see the server's log"),
)


def test_error_messages(page: Page, fake: Fake) -> None:
    alert = page.get_by_role("alert")
    fill(page)
    for status, *words in REFUSALS:
        fake.refusal = None
        page.click("#judge")
        verdict(page)
        expect(alert).to_be_hidden()
        fake.refusal = (status, words[0], {})
        page.click("#judge")
        for part in words:
            expect(alert).to_contain_text(part)
        expect(page.locator("#result")).to_be_hidden()
        expect(page.locator("#retry")).to_be_visible(visible=status >= 500 and "memory" not in words[0])
        assert texts(page) == ["Why?", "Because.", "No idea."]


def test_a_busy_server_shows_how_long_to_wait(page: Page, fake: Fake) -> None:
    fake.refusal = (429, "256 texts wait already.", {"Retry-After": "1"})
    fill(page)
    page.click("#judge")
    expect(page.get_by_role("alert")).to_contain_text("Wait 1\u00a0second, then try again.")
    expect(page.locator("#retry")).to_contain_text("Try again (in")
    fake.refusal = None
    expect(page.locator("#retry")).to_have_text("Try again")
    page.click("#retry")
    assert verdict(page) == "People would most likely prefer A (71 %)"


def test_the_key_is_requested_and_stored_for_the_tab_only(browser: Browser, address: str, fake: Fake) -> None:
    fake.reset()
    fake.key = "s3cret"
    with opened(browser, address) as page:
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("This server requires an API key")
        field = page.get_by_label("API key", exact=True)
        expect(field).to_be_focused()
        expect(alert).not_to_contain_text("Bearer")  # readers of the page set no headers
        field.fill("bad key")
        field.press("Enter")
        expect(page.locator("#key-error")).to_be_visible()
        field.fill("wrong")
        field.press("Enter")
        expect(alert).to_contain_text("does not accept this API key")
        field.fill("s3cret")
        field.press("Enter")
        expect(page.locator("#about-name")).to_have_text(": gemma2-9b-qlora")
        fill(page)
        page.click("#judge")
        verdict(page)
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        page.reload()
        expect(page.locator("#about-name")).to_have_text(": gemma2-9b-qlora")
        page.click("text=Forget the API key")
        fill(page)
        page.click("#judge")
        expect(alert).to_contain_text("This server requires an API key")
        page.get_by_label("API key", exact=True).fill("s3cret")
        page.click("text=Use this key")
        verdict(page)  # the refused request is repeated


def test_a_server_that_does_not_respond(browser: Browser) -> None:
    fake = Fake()
    with served(fake_app(fake)) as address:
        shown = opened(browser, address)
        page = shown.__enter__()
        fill(page)
    page.click("#judge")
    expect(page.get_by_role("alert")).to_contain_text("The server does not respond")
    expect(page.get_by_role("alert")).to_contain_text("Your texts are still here.")
    expect(page.locator("#retry")).to_be_visible()
    shown.__exit__(None, None, None)


def test_responses_of_other_servers(page: Page) -> None:
    page.route("**/v1/compare", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    fill(page)
    page.click("#judge")
    expect(page.get_by_role("alert")).to_contain_text("Something went wrong on the server (502)")
    page.route("**/v1/compare", lambda route: route.fulfill(status=200, body="<h1>Sign in</h1>"))
    page.click("#retry")
    expect(page.get_by_role("alert")).to_contain_text("The response is not from a Tiebreak server.")
    page.route("**/v1/compare", lambda route: route.fulfill(status=200, json={"of": "another version"}))
    page.click("#retry")
    expect(page.get_by_role("alert")).to_contain_text("This page cannot show the server's response")


def test_judging_can_be_cancelled(page: Page, fake: Fake) -> None:
    fake.delay = 0.7
    fill(page)
    page.click("#judge")
    expect(page.locator("#judge")).to_have_attribute("aria-disabled", "true")
    page.click("text=Cancel")
    expect(page.locator("#notice")).to_contain_text("Cancelled")
    expect(page.locator("#judge")).to_be_focused()
    expect(page.locator("#judge")).to_have_attribute("aria-disabled", "false")
    expect(page.locator("#cancel")).to_be_hidden()
    page.press("#prompt", "Control+Enter")
    page.press("#prompt", "Escape")
    expect(page.locator("#notice")).to_contain_text("Cancelled")
    page.wait_for_timeout(900)
    expect(page.locator("#result")).to_be_hidden()


def test_only_the_last_request_is_shown(page: Page, fake: Fake) -> None:
    fake.delay = 0.3
    fill(page)
    page.press("#prompt", "Control+Enter")
    page.wait_for_timeout(100)
    page.fill("#prompt", "Why not?")
    page.press("#prompt", "Meta+Enter")
    verdict(page)
    expect(page.locator(".stale")).to_have_count(0)
    expect(page.locator("#notice")).to_be_hidden()  # not shown as cancelled
    assert fake.asked[-1].prompt == "Why not?"


def test_keyboard_alone(page: Page, fake: Fake) -> None:
    def focused() -> str:
        element: str = page.evaluate("(e => e.id || e.textContent.trim())(document.activeElement)")
        return element

    order = []
    for _ in range(14):
        page.keyboard.press("Tab")
        order.append(focused())
    examples = ["A sum", "Both right", "Four answers", "Prose"]
    fields = ["prompt", "answer-A", "answer-B"]
    assert order[:13] == [*examples, *fields, "add", "swap", "link", "clear", "judge", "orders"]
    assert order[13].startswith("About this judge")
    page.focus("#prompt")
    page.keyboard.type("Why?\nReally.")
    for text in ("Because.", "No idea."):
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Control+Enter")
    verdict(page)
    assert focused() == "answer-B"  # the focus stays where it was
    assert fake.asked == [CompareRequest(prompt="Why?\nReally.", answers=["Because.", "No idea."])]
    for _ in range(3):
        page.keyboard.press("Tab")
    assert focused() == "link"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(outline.removesuffix("px")) >= 2


# The contrast of every visible text: its colour against the first opaque background behind it.
CONTRASTS = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const seen = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!(own || "value" in element) || !element.checkVisibility() || element.closest("template, noscript")) continue;
    let opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= getComputedStyle(e).opacity;
    const [one, two] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    const words = `${element.tagName} ${element.id} ${element.className} ${element.textContent.slice(0, 30)}`;
    seen.push([words, opacity === 1 ? (one + 0.05) / (two + 0.05) : 0]);
  }
  return seen;
}"""


def low_contrasts(page: Page) -> list[tuple[str, float]]:
    seen: list[tuple[str, float]] = page.evaluate(CONTRASTS)
    assert len(seen) > 15
    return [(words, ratio) for words, ratio in seen if ratio < 4.5]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_and_width(browser: Browser, address: str, fake: Fake, theme: str) -> None:
    fake.reset()
    with opened(browser, address, color_scheme=theme, viewport={"width": 360, "height": 740}) as page:

        def look() -> None:
            page.mouse.move(0, 0)
            page.evaluate("document.activeElement.blur()")
            assert low_contrasts(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= 360

        page.click("#about summary")
        page.click("#judge")  # each field shows an error
        look()
        fake.verdict = REWARDS.model_copy(update={"orders": PAIR.orders, "disagreement": 0.056, "tokens_lost": 9})
        fill(page, "word" * 200, NASTY, "https://example.org/" + "x" * 300)
        page.click("#judge")
        verdict(page)
        page.fill("#prompt", "Why?")
        look()
        fill(page, "Why?", "x" * 500, "two", "three", "four", "five", "six")
        page.click("#judge")
        page.locator("#ranking").wait_for()
        page.click("text=Prose")  # a message
        look()
        fake.refusal = (429, "message" * 60, {"Retry-After": "60"})
        page.click("#judge")
        page.locator("#retry").wait_for()
        look()
        fake.key = "k"
        page.click("#judge")
        page.locator("#key-form").wait_for()
        look()


def test_built_for_screen_readers(page: Page, fake: Fake) -> None:
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("h1").count() == 1
    for landmark in ("banner", "main", "contentinfo"):
        expect(page.get_by_role(landmark)).to_have_count(1)
    fill(page, "Why?", "one", "two", "three", "four")
    page.click("#judge")
    verdict(page)
    fields = page.locator("textarea, input").evaluate_all("all => all.map(e => [e.id, e.labels.length])")
    assert len(fields) == 8
    assert [name for name, labels in fields if labels != 1] == []
    names = page.locator("button:visible").evaluate_all("all => all.map(b => b.ariaLabel || b.textContent.trim())")
    assert all(names)
    assert len(names) == len({*names})
    assert page.locator("#announcement").get_attribute("aria-live") == "polite"
    expect(page.locator("#announcement")).to_have_text("People would most likely prefer C. Order: C, A, D, B.")
    ids = page.locator("[id]").evaluate_all("all => all.map(e => e.id)")
    assert len(ids) == len({*ids})
    described = page.locator("[aria-describedby], [aria-labelledby]").evaluate_all(
        """all => all.flatMap(e => ["describedby", "labelledby"].map(name => e.getAttribute(`aria-${name}`)))
          .flatMap(ids => ids?.split(" ") ?? [])"""
    )
    assert {*described} <= {*ids}
    levels = page.locator("h1:visible, h2:visible, h3:visible").evaluate_all("all => all.map(e => e.tagName)")
    assert levels == ["H1", "H2"]
    page.get_by_role("list").get_by_text("three").wait_for()


def test_targets_are_large_enough_for_a_thumb(browser: Browser, address: str, fake: Fake) -> None:
    fake.reset()
    with opened(browser, address, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True) as page:
        fill(page, "Why?", "one", "two", "three")
        sizes = page.locator("button:visible, summary").evaluate_all(
            "all => all.map(e => [e.textContent.trim(), e.offsetWidth, e.offsetHeight])"
        )
        assert [size for size in sizes if min(size[1:]) < 24] == []  # WCAG 2.2, 2.5.8
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_served_judge_is_described(page: Page, browser: Browser, address: str, fake: Fake) -> None:
    page.click("#about summary")
    expect(page.locator("#about-name")).to_have_text(": gemma2-9b-qlora")  # the description was fetched
    text = plain(page.locator("#about"))
    for words in ("gemma2-9b-qlora", "pairwise judge", "temperature", "0.5656", "74.4 %", "2,048 tokens"):
        assert words in text
    fake.kind = "pointwise"
    with opened(browser, address) as other:
        expect(other.locator("#about-name")).to_have_text(": gemma2-9b-qlora")
        expect(other.locator("#orders-choice")).to_be_hidden()
        fill(other)
        other.click("#judge")
        verdict(other)
    assert [asked.swap for asked in fake.asked] == ["none"]  # the other order makes no difference


def test_with_the_real_server(browser: Browser, small_run: TrainingResult) -> None:
    judge = load_judge(small_run.folder.path)
    prompt, a, b = "question 1 2 3 ?", "good answer", "bad answer"
    expected = judge.compare(prompt, a, b, swap="average")
    app = create_app(judge, name="small", api_key="s3cret")
    with served(app) as address, opened(browser, address) as page:
        page.get_by_label("API key", exact=True).fill("s3cret")
        page.click("text=Use this key")
        fill(page, prompt, a, b)
        page.click("#judge")
        verdict(page)
        shown = [float(number.rstrip(" %").lstrip("<> ")) / 100 for number in numbers(page)]
        assert shown == pytest.approx([expected.model_a, expected.model_b, expected.tie], abs=0.00051)
        expect(page.locator("#both-orders tbody td")).to_have_count(6)
        page.click("#add")
        page.get_by_label("Answer C", exact=True).fill("plain answer")
        page.click("#judge")
        page.locator("#ranking").wait_for()
        order = sorted(range(3), key=judge.rank(prompt, [a, b, "plain answer"]).ranks.__getitem__)
        assert page.locator("#ranking .badge").all_inner_texts() == ["ABC"[i] for i in order]


def test_the_files_load_nothing_from_other_servers() -> None:
    files = page_files()
    types = {path: media_type.split(";")[0] for path, (media_type, _) in files.items()}
    assert types["/"] == "text/html"
    assert types["/page/page.css"] == "text/css"
    scripts = [path for path, media_type in types.items() if media_type == "text/javascript"]
    assert len(files) == len(scripts) + 2
    for path in scripts:
        imported = re.findall(r' from "\./(.*?)";', files[path][1].decode())
        assert {f"/page/{name}" for name in imported} <= {*scripts}, path
    for _, body in files.values():
        text = body.decode().replace("http://www.w3.org/2000/svg", "")
        for elsewhere in ("http://", "https://", "@import", "innerHTML", "insertAdjacentHTML", " style=", " onclick="):
            assert elsewhere not in text
