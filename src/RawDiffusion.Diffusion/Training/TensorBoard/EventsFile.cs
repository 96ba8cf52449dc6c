using System.Buffers.Binary;
using System.Numerics;
using Google.Protobuf;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training.TensorBoard;

/// <summary>
/// A file that TensorBoard shows: <c>events.out.tfevents.TIME.HOST.PROCESS.N</c>, a sequence of records, each u64 length, masked
/// CRC-32C of the length, an <see cref="Event"/>, masked CRC-32C of it, all little-endian. Records reach the system one by one, so
/// that a run can be watched; a reader skips one that a crash has cut short.
/// </summary>
public sealed class EventsFile : IDisposable
{
    private readonly FileStream _stream;

    /// <summary>Begins a new file in a folder; files that are there stay and are shown as the same run.</summary>
    /// <param name="firstStep">The first step that this file will tell of; what earlier files say of it and later ones is void.</param>
    /// <exception cref="IOException">The folder does not exist or cannot be written.</exception>
    public EventsFile(string folder, long firstStep)
    {
        _stream = Create(folder);
        Write(new Event { WallTime = Now(), FileVersion = "brain.Event:2" });
        if (firstStep > 1)
            Write(new Event { WallTime = Now(), Step = firstStep, SessionLog = new SessionLog { Status = SessionLog.Types.SessionStatus.Start } });
    }

    /// <summary>The path of the file.</summary>
    public string Path => _stream.Name;

    /// <summary>Adds numbers of one step, each under its tag; those that are not finite are shown as such.</summary>
    public void AddScalars(long step, params ReadOnlySpan<(string Tag, double Value)> scalars)
    {
        var summary = new Summary();
        foreach (var (tag, value) in scalars)
            summary.Value.Add(new Summary.Types.Value { Tag = tag, SimpleValue = (float)value });
        Write(new Event { WallTime = Now(), Step = step, Summary = summary });
    }

    /// <summary>Adds a picture of one step.</summary>
    public void AddImage(long step, string tag, Image image)
    {
        byte[] png = image.EncodePng();
        var value = new Summary.Types.Image
        {
            Height = image.Height,
            Width = image.Width,
            Colorspace = Image.Channels,
            EncodedImageString = UnsafeByteOperations.UnsafeWrap(png),
        };
        Write(new Event { WallTime = Now(), Step = step, Summary = new Summary { Value = { new Summary.Types.Value { Tag = tag, Image = value } } } });
    }

    public void Dispose() => _stream.Dispose();

    private static FileStream Create(string folder)
    {
        string prefix = $"events.out.tfevents.{DateTimeOffset.UtcNow.ToUnixTimeSeconds()}.{Environment.MachineName}.{Environment.ProcessId}";
        for (int number = 0; ; number++)
        {
            string path = System.IO.Path.Combine(folder, $"{prefix}.{number}");
            if (!File.Exists(path))
                return new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read);
        }
    }

    private static double Now() => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;

    private void Write(Event value)
    {
        byte[] data = value.ToByteArray();
        Span<byte> frame = stackalloc byte[12];
        BinaryPrimitives.WriteUInt64LittleEndian(frame, (ulong)data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[8..], MaskedCrc(frame[..8]));
        _stream.Write(frame);
        _stream.Write(data);
        BinaryPrimitives.WriteUInt32LittleEndian(frame, MaskedCrc(data));
        _stream.Write(frame[..4]);
        _stream.Flush();
    }

    /// <summary>CRC-32C, rotated and shifted: a CRC of data that hold CRCs themselves would be weak.</summary>
    private static uint MaskedCrc(ReadOnlySpan<byte> data)
    {
        uint crc = ~0u;
        foreach (byte value in data)
            crc = BitOperations.Crc32C(crc, value);
        return BitOperations.RotateRight(~crc, 15) + 0xA282EAD8;
    }
}
