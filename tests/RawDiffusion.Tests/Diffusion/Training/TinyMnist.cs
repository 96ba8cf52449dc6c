using System.Buffers.Binary;

namespace RawDiffusion.Tests.Diffusion.Training;

/// <summary>The four files of MNIST with a few images of noise.</summary>
internal static class TinyMnist
{
    public const int Count = 20;

    private const int Side = 28;

    public static void Write(string folder)
    {
        Directory.CreateDirectory(folder);
        var random = new Random(1);
        foreach (string split in new[] { "train", "t10k" })
        {
            byte[] pixels = new byte[Count * Side * Side];
            random.NextBytes(pixels);
            byte[] labels = [.. Enumerable.Range(0, Count).Select(i => (byte)(i % 10))];
            File.WriteAllBytes(Path.Combine(folder, $"{split}-images-idx3-ubyte"), [.. Header(0x803, Count, Side, Side), .. pixels]);
            File.WriteAllBytes(Path.Combine(folder, $"{split}-labels-idx1-ubyte"), [.. Header(0x801, Count), .. labels]);
        }
    }

    private static byte[] Header(params int[] words)
    {
        var bytes = new byte[4 * words.Length];
        for (int i = 0; i < words.Length; i++)
            BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(4 * i), words[i]);
        return bytes;
    }
}
