using System.Net;
using System.Security.Cryptography;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Data.Files;

/// <summary>How patient a <see cref="Downloader"/> is.</summary>
public sealed record DownloadSettings
{
    /// <summary>A server must take the connection within this time.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>A connection that brings nothing for so long is given up.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Attempts at one address in a row that bring a file no further.</summary>
    public int Attempts { get; init; } = 3;

    /// <summary>Time between two attempts, and between two looks at whether another process has finished.</summary>
    public TimeSpan Pause { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>
/// Fetches files of known length and SHA-256. A file gets its name only when it is whole and checked; until then it has another name in
/// the same folder, where a later attempt, or a later process, goes on. Processes that want the same file take turns.
/// </summary>
public sealed class Downloader : IDisposable
{
    private const int LargestRead = 1 << 16;
    private const int MostRedirections = 5;

    private readonly DownloadSettings _settings;
    private readonly HttpClient _client;
    private readonly byte[] _buffer = new byte[LargestRead];

    public Downloader(DownloadSettings? settings = null)
    {
        _settings = settings ?? new DownloadSettings();
        // The bytes as they are: a server that compresses on the way would change what is summed. Time limits are those of each read.
        _client = new HttpClient(new SocketsHttpHandler
        {
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = _settings.ConnectTimeout,
            MaxAutomaticRedirections = MostRedirections,
        })
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
        _client.DefaultRequestHeaders.UserAgent.ParseAdd("RawDiffusion");
    }

    /// <summary>Where a file is kept while it is not whole.</summary>
    public static string PartialPath(string folder, DataFile file) => Path.Combine(folder, $".{file.Name}.partial");

    /// <summary>Sees to it that a file is in a folder: returns at once where it is.</summary>
    /// <param name="folder">Made where it does not exist.</param>
    /// <param name="progress">Called after every piece.</param>
    /// <exception cref="DownloadException">No address gave the file.</exception>
    /// <exception cref="IOException">The folder cannot be written, or there is no room; what has come is kept.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first; what has come is kept.</exception>
    public void Fetch(DataFile file, string folder, Action<DownloadProgress>? progress = null, CancellationToken stop = default)
    {
        string path = Path.Combine(folder, file.Name);
        if (File.Exists(path))
            return;
        Directory.CreateDirectory(folder);
        using var turn = FolderLock.Take(folder, _settings.Pause, stop);
        // Whoever had the lock before may have fetched it.
        if (File.Exists(path))
            return;
        string partialPath = PartialPath(folder, file);
        try
        {
            using var partial = new FileStream(partialPath, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0);
            Fill(new PartialFile(partial, file), progress, stop);
            partial.Flush(flushToDisk: true);
        }
        catch (DownloadException) when (new FileInfo(partialPath) is { Exists: true, Length: 0 })
        {
            File.Delete(partialPath);
            throw;
        }
        AtomicFile.MoveIntoPlace(partialPath, path);
    }

    public void Dispose() => _client.Dispose();

    private void Fill(PartialFile partial, Action<DownloadProgress>? progress, CancellationToken stop)
    {
        // The process may have ended between the last byte and the renaming.
        if (partial.IsRight(out _))
            return;
        var reasons = new List<string>();
        foreach (string address in partial.File.Addresses)
        {
            try
            {
                FillFrom(address, partial, progress, stop);
                return;
            }
            catch (TransferException e)
            {
                reasons.Add($"{address}: {e.Message}");
            }
        }
        throw new DownloadException($"{partial.File.Name} cannot be downloaded ({string.Join("; ", reasons)})");
    }

    /// <summary>Goes on with the file from one address until it is whole and right.</summary>
    private void FillFrom(string address, PartialFile partial, Action<DownloadProgress>? progress, CancellationToken stop)
    {
        long furthest = partial.Length;
        partial.IsFromElsewhere = partial.Length > 0;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                // Sockets have no synchronous read that a token ends. The task runs apart from any context of the caller.
                Task.Run(() => Transfer(address, partial, progress, stop), stop).GetAwaiter().GetResult();
                if (partial.IsRight(out string sum))
                    return;
                // Where it began elsewhere, that part may be what is wrong: once, all of it from here.
                bool isMixed = partial.IsFromElsewhere;
                partial.Restart();
                if (!isMixed)
                    throw new TransferException($"its sha256 is {sum}", isFinal: true);
                (attempt, furthest) = (0, 0);
            }
            catch (TransferException e) when (!e.IsFinal)
            {
                if (partial.Length > furthest)
                    (furthest, attempt) = (partial.Length, 0);
                if (attempt >= _settings.Attempts)
                    throw;
                stop.WaitHandle.WaitOne(_settings.Pause);
            }
        }
    }

    /// <summary>One request: appends to the file what it lacks, or begins it anew where the server gives only the whole.</summary>
    private async Task Transfer(string address, PartialFile partial, Action<DownloadProgress>? progress, CancellationToken stop)
    {
        if (partial.Length >= partial.File.Bytes)
            partial.Restart();
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(stop);
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        if (partial.Length > 0)
            request.Headers.Range = new(partial.Length, null);
        using var response = await Patiently(patience, stop, token => _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, token));
        ExpectAnswer(response, partial);
        using var contents = await Patiently(patience, stop, token => response.Content.ReadAsStreamAsync(token));
        progress?.Invoke(partial.Progress);
        while (true)
        {
            int read = await Patiently(patience, stop, token => contents.ReadAsync(_buffer, token).AsTask());
            if (read == 0)
                break;
            if (partial.Length + read > partial.File.Bytes)
            {
                partial.Restart();
                throw new TransferException($"it sends more than {partial.File.Bytes} bytes", isFinal: true);
            }
            partial.Append(_buffer.AsSpan(0, read));
            progress?.Invoke(partial.Progress);
        }
        if (partial.Length < partial.File.Bytes)
            throw new TransferException($"it ended after {partial.Length} of {partial.File.Bytes} bytes", isFinal: false);
    }

    private static void ExpectAnswer(HttpResponseMessage response, PartialFile partial)
    {
        switch (response.StatusCode)
        {
            case HttpStatusCode.OK:
                ExpectLength(response.Content.Headers.ContentLength);
                partial.Restart();
                break;
            case HttpStatusCode.PartialContent when response.Content.Headers.ContentRange is { } range && range.From == partial.Length:
                ExpectLength(range.Length);
                break;
            case HttpStatusCode.PartialContent or HttpStatusCode.RequestedRangeNotSatisfiable:
                partial.Restart();
                throw new TransferException("it does not go on where the last attempt ended", isFinal: false);
            default:
                int code = (int)response.StatusCode;
                bool isPassing = code is 408 or 429 or >= 500;
                throw new TransferException($"{code} {response.ReasonPhrase}".TrimEnd(), isFinal: !isPassing);
        }

        void ExpectLength(long? length)
        {
            if (length is { } bytes && bytes != partial.File.Bytes)
                throw new TransferException($"the file there has {bytes} bytes, not {partial.File.Bytes}", isFinal: true);
        }
    }

    /// <summary>Waits for something from the net, but no longer than <see cref="DownloadSettings.StallTimeout"/>.</summary>
    private async Task<T> Patiently<T>(CancellationTokenSource patience, CancellationToken stop, Func<CancellationToken, Task<T>> action)
    {
        patience.CancelAfter(_settings.StallTimeout);
        try
        {
            return await action(patience.Token);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            throw new TransferException(
                patience.IsCancellationRequested
                    ? FormattableString.Invariant($"nothing came for {_settings.StallTimeout.TotalSeconds:0.###} s")
                    : FormattableString.Invariant($"no connection in {_settings.ConnectTimeout.TotalSeconds:0.###} s"),
                isFinal: false);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            // The innermost exception is the one that says what happened to the connection.
            throw new TransferException(e.GetBaseException().Message.TrimEnd('.'), isFinal: false);
        }
    }

    /// <summary>A file on its way.</summary>
    private sealed class PartialFile(FileStream stream, DataFile file)
    {
        public DataFile File => file;

        public long Length => stream.Length;

        /// <summary>Whether its beginning did not come from the address that is asked now.</summary>
        public bool IsFromElsewhere { get; set; }

        public DownloadProgress Progress => new(file.Name, stream.Length, file.Bytes);

        public void Append(ReadOnlySpan<byte> bytes)
        {
            stream.Seek(0, SeekOrigin.End);
            stream.Write(bytes);
        }

        public void Restart()
        {
            stream.SetLength(0);
            IsFromElsewhere = false;
        }

        /// <param name="sum">The SHA-256; of a file that is not whole, nothing.</param>
        public bool IsRight(out string sum)
        {
            sum = "";
            if (stream.Length != file.Bytes)
                return false;
            stream.Position = 0;
            sum = Convert.ToHexStringLower(SHA256.HashData(stream));
            return sum == file.Sha256;
        }
    }

    /// <summary>An address did not give the file.</summary>
    /// <param name="isFinal">Whether it would be no use to ask again.</param>
    private sealed class TransferException(string message, bool isFinal) : Exception(message)
    {
        public bool IsFinal { get; } = isFinal;
    }
}
