using System.Security.Cryptography;
using RawDiffusion.Diffusion.Data.Files;
using static RawDiffusion.Tests.LoopbackServer;

namespace RawDiffusion.Tests;

/// <summary>Whatever a server does: a file that has its name is whole and right, and what has come is not asked for twice.</summary>
public sealed class DownloaderTests : IDisposable
{
    private const string Name = "data.gz";

    private static readonly byte[] s_contents = Random(200_000, seed: 1);

    // Long enough for a busy machine to serve in, short where the test waits for it to pass.
    private static readonly DownloadSettings s_patient = new() { StallTimeout = TimeSpan.FromSeconds(30), Pause = TimeSpan.FromMilliseconds(1) };
    private static readonly DownloadSettings s_impatient = s_patient with { StallTimeout = TimeSpan.FromMilliseconds(50), Attempts = 2 };

    private readonly TemporaryFolder _folder = new();

    private string Path => _folder[Name];

    private string PartialPath => Downloader.PartialPath(_folder.Path, File());

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void AWholeFileGetsItsName()
    {
        using var server = new LoopbackServer(Whole(s_contents));
        var seen = new List<DownloadProgress>();
        Fetch(File(server.Address), progress: seen.Add);

        ExpectFile();
        Assert.Equal("/" + Name, Assert.Single(server.Requests).Path);
        Assert.Equal(seen.Select(p => p.Received).Order(), seen.Select(p => p.Received));
        Assert.Equal(new DownloadProgress(Name, 0, s_contents.Length), seen[0]);
        Assert.Equal(s_contents.Length, seen[^1].Received);
    }

    [Fact]
    public void AFileThatIsThereIsNotAskedFor()
    {
        System.IO.File.WriteAllText(Path, "mine");
        Fetch(File(DeadAddress()));
        Assert.Equal("mine", System.IO.File.ReadAllText(Path));
    }

    /// <summary>As often as it takes, if each time brings some more: more often here than attempts are allowed to bring nothing.</summary>
    [Fact]
    public void AnAnswerThatIsCutOffIsGoneOnWith()
    {
        using var server = new LoopbackServer(
            Cut(s_contents, 1000), Cut(s_contents, 5000), Cut(s_contents, 50_000), Cut(s_contents, 50_001), Cut(s_contents, 150_000), Whole(s_contents));
        Fetch(File(server.Address));

        ExpectFile();
        Assert.Equal([0, 1000, 5000, 50_000, 50_001, 150_000], server.Requests.Select(request => request.Start));
    }

    [Fact]
    public void AServerThatAlwaysEndsAtTheSamePlaceIsLeft()
    {
        using LoopbackServer cut = new(WithoutRanges(s_contents, cutAt: 70_000)), whole = new(Whole(s_contents));
        Fetch(File(cut.Address, whole.Address));

        ExpectFile();
        Assert.Equal(1 + s_patient.Attempts, cut.Requests.Length);
        Assert.Equal(70_000, Assert.Single(whole.Requests).Start);
    }

    [Fact]
    public void AServerThatStallsIsGoneOnWith()
    {
        using var server = new LoopbackServer(Stall(s_contents, 60_000), Whole(s_contents));
        Fetch(File(server.Address), s_patient with { StallTimeout = TimeSpan.FromMilliseconds(300) });

        // On a machine with more to do the second answer may seem to stall as well.
        ExpectFile();
        Assert.Equal([0, 60_000], server.Requests.Select(request => request.Start).Take(2));
    }

    [Fact]
    public void AServerThatSaysNothingIsLeft()
    {
        using var server = new LoopbackServer(Silence());
        string message = ExpectFailure(File(server.Address), s_impatient);

        Assert.Equal($"{Name} cannot be downloaded ({server.Address}{Name}: nothing came for 0.05 s)", message);
        Assert.False(System.IO.File.Exists(PartialPath));
    }

    [Fact]
    public void AServerWithoutRangesBeginsAgain()
    {
        using var server = new LoopbackServer(WithoutRanges(s_contents, cutAt: 100_000), WithoutRanges(s_contents));
        Fetch(File(server.Address));

        ExpectFile();
        Assert.Equal([false, true], server.Requests.Select(request => request.HasRange));
    }

    [Fact]
    public void WrongContentsAreNotKept()
    {
        using var server = new LoopbackServer(Whole(Corrupt()));
        string message = ExpectFailure(File(server.Address));

        Assert.Contains($"its sha256 is {Sha256(Corrupt())}", message);
        Assert.Single(server.Requests);
        Assert.False(System.IO.File.Exists(PartialPath));
    }

    [Fact]
    public void AfterWrongContentsTheNextAddressIsAsked()
    {
        using LoopbackServer wrong = new(Whole(Corrupt())), right = new(Whole(s_contents));
        Fetch(File(wrong.Address, right.Address));

        ExpectFile();
        Assert.Equal(0, Assert.Single(right.Requests).Start);
    }

    /// <summary>The beginning came from a server with wrong contents, the end from one with right ones: once more, all from the latter.</summary>
    [Fact]
    public void AMixtureOfTwoServersIsSeenAndReplaced()
    {
        using LoopbackServer wrong = new(Cut(Corrupt(), 150_000), Status("404 Not Found")), right = new(Whole(s_contents));
        Fetch(File(wrong.Address, right.Address));

        ExpectFile();
        Assert.Equal([150_000, 0], right.Requests.Select(request => request.Start));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(123_456)]
    [InlineData(199_999)]
    public void AnEarlierProcessIsGoneOnWith(int length)
    {
        System.IO.File.WriteAllBytes(PartialPath, s_contents[..length]);
        using var server = new LoopbackServer(Whole(s_contents));
        Fetch(File(server.Address));

        ExpectFile();
        Assert.Equal(length, Assert.Single(server.Requests).Start);
    }

    [Fact]
    public void AFileThatOnlyLacksItsNameIsNotAskedFor()
    {
        System.IO.File.WriteAllBytes(PartialPath, s_contents);
        Fetch(File(DeadAddress()));
        ExpectFile();
    }

    [Theory]
    [InlineData(200_000)]
    [InlineData(200_001)]
    [InlineData(150_000)]
    public void SomethingElseUnderThePartialNameIsReplaced(int length)
    {
        System.IO.File.WriteAllBytes(PartialPath, Random(length, seed: 9));
        using var server = new LoopbackServer(Whole(s_contents));
        Fetch(File(server.Address));
        ExpectFile();
    }

    [Theory]
    [InlineData("416 Range Not Satisfiable", "Server: test")]
    [InlineData("206 Partial Content", "Content-Range: bytes 7-199999/200000")]
    public void AServerThatDoesNotGoOnIsAskedForAll(string status, string header)
    {
        System.IO.File.WriteAllBytes(PartialPath, s_contents[..100]);
        using var server = new LoopbackServer(Status(status, header), Whole(s_contents));
        Fetch(File(server.Address));

        ExpectFile();
        Assert.Equal([true, false], server.Requests.Select(request => request.HasRange));
    }

    [Fact]
    public void RedirectionsAreFollowed()
    {
        using var second = new LoopbackServer(Whole(s_contents));
        using var first = new LoopbackServer(Status("302 Found", $"Location: {second.Address}elsewhere"));
        Fetch(File(first.Address));

        ExpectFile();
        Assert.Equal("/elsewhere", Assert.Single(second.Requests).Path);
    }

    [Fact]
    public void RedirectionsInACircleEnd()
    {
        using var server = new LoopbackServer(Status("302 Found", "Location: /again"));
        Assert.Contains("302 Found", ExpectFailure(File(server.Address)));
    }

    [Theory]
    [InlineData("404 Not Found", 1)]
    [InlineData("403 Forbidden", 1)]
    [InlineData("503 Service Unavailable", 3)]
    [InlineData("429 Too Many Requests", 3)]
    public void RefusalsAreToldAndOnlyPassingOnesAreTriedAgain(string status, int requests)
    {
        using var server = new LoopbackServer(Status(status));
        Assert.Contains($"{server.Address}{Name}: {status}", ExpectFailure(File(server.Address)));
        Assert.Equal(requests, server.Requests.Length);
    }

    [Fact]
    public void AFileOfAnotherLengthIsNotFetched()
    {
        using var server = new LoopbackServer(Whole(Random(300_000, seed: 1)));
        Assert.Contains("the file there has 300000 bytes, not 200000", ExpectFailure(File(server.Address)));
        Assert.False(System.IO.File.Exists(PartialPath));
    }

    [Fact]
    public void AnEndlessAnswerIsCutOff()
    {
        using var server = new LoopbackServer((_, connection) =>
        {
            Head(connection, "200 OK", "Server: test");
            while (true)
                connection.Write(s_contents);
        });
        Assert.Contains("it sends more than 200000 bytes", ExpectFailure(File(server.Address)));
        Assert.False(System.IO.File.Exists(PartialPath));
    }

    [Fact]
    public void GarbageInPlaceOfHttpIsARefusal()
    {
        using var server = new LoopbackServer((_, connection) => connection.Write(s_contents));
        ExpectFailure(File(server.Address));
    }

    [Fact]
    public void AllAddressesAndReasonsAreNamed()
    {
        string dead = DeadAddress();
        using var server = new LoopbackServer(Status("404 Not Found"));
        string message = ExpectFailure(File(dead, server.Address));

        Assert.Contains($"{dead}{Name}: ", message);
        Assert.Contains($"{server.Address}{Name}: 404 Not Found", message);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void CancellingKeepsWhatHasCome()
    {
        using var stop = new CancellationTokenSource();
        using var stalling = new LoopbackServer(Stall(s_contents, 90_000), Whole(s_contents));
        Assert.ThrowsAny<OperationCanceledException>(() => Fetch(
            File(stalling.Address), stop: stop.Token,
            progress: p =>
            {
                if (p.Received == 90_000)
                    stop.Cancel();
            }));
        Assert.False(System.IO.File.Exists(Path));
        Assert.Equal(s_contents[..90_000], System.IO.File.ReadAllBytes(PartialPath));

        Fetch(File(stalling.Address));
        ExpectFile();
        Assert.Equal(90_000, stalling.Requests[^1].Start);
    }

    /// <summary>Two that want the same file take turns: the second waits and finds it, or goes on where the first gave up.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task TwoAtOnceTakeTurns(bool firstSucceeds)
    {
        using var begun = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        using var stop = new CancellationTokenSource();
        using var server = new LoopbackServer(
            (request, connection) =>
            {
                Cut(s_contents, 100_000)(request, connection);
                begun.Set();
                release.Wait();
                connection.Write(s_contents.AsSpan(100_000));
            },
            Whole(s_contents));
        bool secondAsked = false;
        var first = Task.Run(() => Fetch(File(server.Address), stop: stop.Token, progress: p =>
        {
            if (p.Received == 100_000 && !firstSucceeds)
                stop.Cancel();
        }));
        begun.Wait();
        var second = Task.Run(() => Fetch(File(server.Address), progress: _ => secondAsked = true));
        if (firstSucceeds)
            release.Set();
        else
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        await second;
        release.Set();

        ExpectFile();
        Assert.Equal(!firstSucceeds, secondAsked);
        Assert.Equal(firstSucceeds ? [0] : [0, 100_000], server.Requests.Select(request => request.Start));
    }

    /// <summary>Every way in which a server can end a random answer: what has the file's name is right every time, or there is nothing.</summary>
    [Fact]
    public void NothingHalfWrittenIsEverTakenForData()
    {
        var random = new Random(3);
        int fetched = 0;
        for (int round = 0; round < 60; round++)
        {
            using var server = new LoopbackServer([.. Enumerable.Range(0, 5).Select(_ => AnyReply(random))]);
            try
            {
                Fetch(File(server.Address), s_impatient);
                fetched++;
                ExpectFile();
                System.IO.File.Delete(Path);
            }
            catch (DownloadException)
            {
                Assert.False(System.IO.File.Exists(Path));
            }
        }
        Assert.InRange(fetched, 1, 59);
    }

    private static Reply AnyReply(Random random)
    {
        int end = random.Next(s_contents.Length);
        return random.Next(9) switch
        {
            0 => Whole(s_contents),
            1 => Whole(Corrupt()),
            2 => Cut(Corrupt(), end),
            3 => WithoutRanges(s_contents),
            4 => WithoutRanges(s_contents, cutAt: end),
            5 => Status("503 Service Unavailable"),
            6 => Status("416 Range Not Satisfiable"),
            7 => Stall(s_contents, end),
            _ => Cut(s_contents, end),
        };
    }

    private void Fetch(
        DataFile file, DownloadSettings? settings = null, Action<DownloadProgress>? progress = null, CancellationToken stop = default)
    {
        using var downloader = new Downloader(settings ?? s_patient);
        downloader.Fetch(file, _folder.Path, progress, stop);
    }

    /// <summary>Fetches in vain: no file has the name, and the answer is the message.</summary>
    private string ExpectFailure(DataFile file, DownloadSettings? settings = null)
    {
        string message = Assert.Throws<DownloadException>(() => Fetch(file, settings)).Message;
        Assert.False(System.IO.File.Exists(Path));
        return message;
    }

    private void ExpectFile()
    {
        Assert.Equal(s_contents, System.IO.File.ReadAllBytes(Path));
        Assert.False(System.IO.File.Exists(PartialPath));
    }

    private static DataFile File(params string[] addresses) =>
        new(Name, s_contents.Length, Sha256(s_contents), [.. addresses.Select(address => address + Name)]);

    private static string Sha256(byte[] contents) => Convert.ToHexStringLower(SHA256.HashData(contents));

    private static byte[] Corrupt()
    {
        byte[] corrupt = [.. s_contents];
        corrupt[120_000] ^= 4;
        return corrupt;
    }

    private static byte[] Random(int length, int seed)
    {
        var contents = new byte[length];
        new Random(seed).NextBytes(contents);
        return contents;
    }
}
