using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace RawDiffusion.Tests;

/// <summary>What a server does with one request: writes an answer, or part of one. The connection is closed afterwards.</summary>
internal delegate void Reply(LoopbackRequest request, Stream connection);

/// <param name="Start">The first byte asked for: that of a Range header, or 0.</param>
internal sealed record LoopbackRequest(string Path, int Start, bool HasRange);

/// <summary>A web server of this process on a free port that answers the n-th request by the n-th reply, and further ones by the last.</summary>
internal sealed class LoopbackServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Reply[] _replies;
    private readonly Thread _thread;
    private readonly ConcurrentQueue<LoopbackRequest> _requests = new();
    private readonly ConcurrentBag<Exception> _errors = [];

    public LoopbackServer(params Reply[] replies)
    {
        _replies = replies;
        _listener.Start();
        Address = $"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/";
        _thread = new Thread(Serve) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>With a slash at the end.</summary>
    public string Address { get; }

    /// <summary>Those that have been read so far.</summary>
    public LoopbackRequest[] Requests => [.. _requests];

    /// <summary>An address of this machine where nobody listens.</summary>
    public static string DeadAddress()
    {
        using var server = new LoopbackServer();
        return server.Address;
    }

    /// <summary>The whole file, or from the byte that was asked for on.</summary>
    public static Reply Whole(byte[] file) => Cut(file, file.Length);

    /// <summary>The whole file whatever was asked for.</summary>
    public static Reply WithoutRanges(byte[] file, int? cutAt = null) => (_, connection) =>
    {
        Head(connection, "200 OK", $"Content-Length: {file.Length}");
        connection.Write(file.AsSpan(0, cutAt ?? file.Length));
    };

    /// <summary>Promises all of the file and ends before byte <paramref name="end"/> of it.</summary>
    public static Reply Cut(byte[] file, int end) => (request, connection) =>
    {
        if (request.HasRange)
            Head(connection, "206 Partial Content", $"Content-Range: bytes {request.Start}-{file.Length - 1}/{file.Length}\r\nContent-Length: {file.Length - request.Start}");
        else
            Head(connection, "200 OK", $"Content-Length: {file.Length}");
        connection.Write(file.AsSpan(request.Start..Math.Max(request.Start, end)));
    };

    /// <summary>Sends as far as byte <paramref name="end"/> and then nothing, until the other side hangs up.</summary>
    public static Reply Stall(byte[] file, int end) => (request, connection) =>
    {
        Cut(file, end)(request, connection);
        WaitForHangUp(connection);
    };

    /// <summary>Says nothing at all until the other side hangs up.</summary>
    public static Reply Silence() => (_, connection) => WaitForHangUp(connection);

    /// <summary>An answer without contents.</summary>
    public static Reply Status(string status, string header = "Server: test") => (_, connection) => Head(connection, status, $"{header}\r\nContent-Length: 0");

    public static void Head(Stream connection, string status, string headers) =>
        connection.Write(Encoding.ASCII.GetBytes($"HTTP/1.1 {status}\r\n{headers}\r\nConnection: close\r\n\r\n"));

    /// <summary>Ends the server; a reply that failed other than by the client's hanging up fails the test.</summary>
    public void Dispose()
    {
        _listener.Stop();
        _thread.Join();
        Assert.Empty(_errors);
    }

    private static void WaitForHangUp(Stream connection)
    {
        var rest = new byte[256];
        while (connection.Read(rest) > 0)
        {
        }
    }

    private void Serve()
    {
        for (int number = 0; ; number++)
        {
            TcpClient client;
            try
            {
                client = _listener.AcceptTcpClient();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                return;
            }
            var reply = _replies[Math.Min(number, _replies.Length - 1)];
            // A thread each: one that stalls does not hold up the next.
            new Thread(() => Answer(client, reply)) { IsBackground = true }.Start();
        }
    }

    private void Answer(TcpClient client, Reply reply)
    {
        using (client)
        {
            try
            {
                using var connection = client.GetStream();
                var request = Read(connection);
                _requests.Enqueue(request);
                reply(request, connection);
            }
            catch (IOException)
            {
                // The client hung up.
            }
            catch (Exception e)
            {
                _errors.Add(e);
            }
        }
    }

    private static LoopbackRequest Read(Stream connection)
    {
        var text = new StringBuilder();
        while (!text.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            int read = connection.ReadByte();
            if (read < 0)
                throw new IOException("the request ended");
            text.Append((char)read);
        }
        string[] lines = text.ToString().Split("\r\n");
        string? range = lines.FirstOrDefault(line => line.StartsWith("Range: bytes=", StringComparison.OrdinalIgnoreCase));
        return new LoopbackRequest(lines[0].Split(' ')[1], range is null ? 0 : int.Parse(range["Range: bytes=".Length..].TrimEnd('-')), range is not null);
    }
}
