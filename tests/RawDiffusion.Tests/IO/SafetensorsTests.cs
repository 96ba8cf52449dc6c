using System.Buffers.Binary;
using System.Text;
using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public sealed class SafetensorsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void TensorsComeBackBitForBit()
    {
        float[] floats = [0, -0f, 1.5f, float.NaN, float.PositiveInfinity, float.Epsilon];
        double[] doubles = [Math.PI, double.MaxValue, -0.0];
        int[] ints = [int.MinValue, -1, 0, int.MaxValue];
        Safetensors.Save(_folder["a.safetensors"],
        [
            ("floats", Tensor.From(floats, [2, 3])),
            ("doubles", Tensor.From(doubles, [3, 1], Device.Reference)),
            ("ints", Tensor.From(ints, [4])),
            ("scalar", Tensor.From([7f], [])),
            ("empty", Tensor.From(ReadOnlySpan<float>.Empty, [3, 0])),
            ("ünïcode \"quoted\"\n", Tensor.From([1f], [1, 1, 1, 1, 1, 1])),
        ],
        new Dictionary<string, string> { ["format"] = "pt", ["ключ"] = "line\nline" });

        using var file = Safetensors.Load(_folder["a.safetensors"]);
        Assert.Equal(["doubles", "floats", "ints", "scalar", "empty", "ünïcode \"quoted\"\n"], file.Entries.Select(e => e.Name));
        Assert.Equal(["F64", "F32", "I32", "F32", "F32", "F32"], file.Entries.Select(e => e.DType));
        Assert.Equal([2L, 3L], file["floats"].Shape);
        Assert.Equal(Bits(floats), Bits(file.Read("floats").ToArray()));
        Assert.Equal(doubles, file.Read("doubles", Device.Reference).ToDoubleArray());
        Assert.Equal(ints, file.Read("ints").ToInt32Array());
        Assert.Equal(Shape.Scalar, file.Read("scalar").Shape);
        Assert.Equal(7, file.Read("scalar").Item());
        Assert.Equal(new Shape(3, 0), file.Read("empty").Shape);
        Assert.Equal(6, file.Read("ünïcode \"quoted\"\n").Rank);
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal("line\nline", file.Metadata["ключ"]);
    }

    [Fact]
    public void TheBytesAreThoseOfTheFormat()
    {
        Safetensors.Save(_folder["a.safetensors"], [("w", Tensor.From([1f, -2f], [2]))]);
        const string Header = """{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  """;
        Assert.Equal(0, Header.Length % 8);
        byte[] expected = [(byte)Header.Length, 0, 0, 0, 0, 0, 0, 0, .. Encoding.ASCII.GetBytes(Header), 0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0];
        Assert.Equal(expected, File.ReadAllBytes(_folder["a.safetensors"]));
    }

    [Fact]
    public void ANewFileReplacesTheOldOneWhileThatIsBeingRead()
    {
        string path = _folder["a.safetensors"];
        Safetensors.Save(path, [("x", Tensor.From([1f], [1]))]);
        using var old = Safetensors.Load(path);
        Safetensors.Save(path, [("x", Tensor.From([2f], [1]))]);
        using var current = Safetensors.Load(path);
        Assert.Equal(1, old.Read("x").Item());
        Assert.Equal(2, current.Read("x").Item());
    }

    [Fact]
    public void NarrowFloatsAreWidenedExactly()
    {
        // 0x3C00 = 1, 0xC100 = -2.5, 0x0001 = 2^-24 (subnormal), 0x7C00 = infinity in float16.
        Write("""{"h":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}}""", [0x00, 0x3C, 0x00, 0xC1, 0x01, 0x00, 0x00, 0x7C]);
        using (var file = Load())
            Assert.Equal([1, -2.5f, MathF.Pow(2, -24), float.PositiveInfinity], file.Read("h").ToArray());
        // 0x3F80 = 1, 0xC020 = -2.5 in bfloat16: the upper half of a float32.
        Write("""{"b":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}""", [0x80, 0x3F, 0x20, 0xC0]);
        using (var file = Load())
            Assert.Equal([1, -2.5f], file.Read("b").ToArray());
    }

    [Fact]
    public void LongIntegersAreReadWhereTheyFit()
    {
        const string Header = """{"n":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}""";
        var data = new byte[16];
        BinaryPrimitives.WriteInt64LittleEndian(data, int.MinValue);
        BinaryPrimitives.WriteInt64LittleEndian(data.AsSpan(8), int.MaxValue);
        Write(Header, data);
        using (var file = Load())
            Assert.Equal([int.MinValue, int.MaxValue], file.Read("n").ToInt32Array());
        BinaryPrimitives.WriteInt64LittleEndian(data.AsSpan(8), 1L + int.MaxValue);
        Write(Header, data);
        using (var file = Load())
            Assert.Contains("2147483648, too much for 32 bits", Assert.Throws<FileFormatException>(() => file.Read("n")).Message);
    }

    [Theory]
    [InlineData("U8", new byte[] { 0, 255 }, new[] { 0, 255 })]
    [InlineData("I8", new byte[] { 127, 128 }, new[] { 127, -128 })]
    [InlineData("U16", new byte[] { 1, 2, 255, 255 }, new[] { 513, 65535 })]
    [InlineData("I16", new byte[] { 1, 2, 0, 128 }, new[] { 513, -32768 })]
    [InlineData("U32", new byte[] { 1, 2, 0, 0, 255, 255, 255, 127 }, new[] { 513, int.MaxValue })]
    [InlineData("U64", new byte[] { 1, 2, 0, 0, 0, 0, 0, 0, 255, 255, 255, 127, 0, 0, 0, 0 }, new[] { 513, int.MaxValue })]
    [InlineData("BOOL", new byte[] { 0, 1 }, new[] { 0, 1 })]
    public void IntegersOfAnyWidthBecomeInt32(string dtype, byte[] data, int[] expected)
    {
        string header = $$$"""{"n":{"dtype":"{{{dtype}}}","shape":[2],"data_offsets":[0,{{{data.Length}}}]}}""";
        Write(header, data);
        using var file = Load();
        Assert.Equal(expected, file.Read("n").ToInt32Array());
    }

    [Theory]
    [InlineData("U32", new byte[] { 0, 0, 0, 128 }, "tensor 'n' holds 2147483648, too much for 32 bits")]
    [InlineData("U64", new byte[] { 255, 255, 255, 255, 255, 255, 255, 255 }, "tensor 'n' holds 18446744073709551615, too much for 32 bits")]
    [InlineData("I64", new byte[] { 255, 255, 255, 127, 255, 255, 255, 255 }, "tensor 'n' holds -2147483649, too much for 32 bits")]
    [InlineData("BOOL", new byte[] { 2 }, "tensor 'n' is BOOL and holds 2, neither 0 nor 1")]
    [InlineData("F8_E4M3", new byte[] { 0 }, "tensor 'n' has dtype F8_E4M3, which cannot be read")]
    [InlineData("F8_E5M2", new byte[] { 0 }, "tensor 'n' has dtype F8_E5M2, which cannot be read")]
    [InlineData("F8_E8M0", new byte[] { 0 }, "tensor 'n' has dtype F8_E8M0, which cannot be read")]
    [InlineData("C64", new byte[] { 0, 0, 0, 0, 0, 0, 0, 0 }, "tensor 'n' has dtype C64, which cannot be read")]
    public void WhatDoesNotFitIsRefusedWhenItIsRead(string dtype, byte[] data, string reason)
    {
        string header = $$$"""{"n":{"dtype":"{{{dtype}}}","shape":[1],"data_offsets":[0,{{{data.Length}}}]}}""";
        Write(header, data);
        using var file = Load();
        Assert.Equal(1, file["n"].Count);
        string message = Assert.Throws<FileFormatException>(() => file.Read("n")).Message;
        Assert.StartsWith($"{Path}: {reason}", message);
    }

    [Fact]
    public void DoublesAreRoundedToTheNearestFloat()
    {
        byte[] data = [.. BitConverter.GetBytes(0.1), .. BitConverter.GetBytes(1e300), .. BitConverter.GetBytes(1 + 3 * Math.Pow(2, -25))];
        Write("""{"d":{"dtype":"F64","shape":[3],"data_offsets":[0,24]}}""", data);
        using var file = Load();
        Assert.Equal([0.1f, float.PositiveInfinity, 1 + MathF.Pow(2, -23)], file.Read("d").ToArray());
    }

    [Fact]
    public void NumbersNeedNotBeAligned()
    {
        Write("""{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}""", [7, 0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]);
        using var file = Load();
        Assert.Equal([7], file.Read("b").ToInt32Array());
        Assert.Equal([1, -2], file.Read("f").ToArray());
    }

    /// <summary>12 GiB of which the disk holds a few pages, as a file with holes.</summary>
    [SkippableFact]
    public void AFileLargerThanMemoryIsOpenedAndReadInParts()
    {
        Skip.If(OperatingSystem.IsWindows(), "files have no holes by themselves there");
        const long Large = 4L * int.MaxValue, Half = Large / 2;
        string header = $$$"""
            {"large":{"dtype":"F32","shape":[{{{int.MaxValue}}}],"data_offsets":[0,{{{Large}}}]},
            "half":{"dtype":"F16","shape":[{{{Half / 2}}}],"data_offsets":[{{{Large}}},{{{Large + Half}}}]},
            "last":{"dtype":"I32","shape":[2],"data_offsets":[{{{Large + Half}}},{{{Large + Half + 8}}}]}}
            """;
        Write(header, []);
        using (var stream = new FileStream(Path, FileMode.Open))
        {
            stream.SetLength(stream.Length + Large + Half + 8);
            stream.Seek(-8, SeekOrigin.End);
            stream.Write([5, 0, 0, 0, 6, 0, 0, 0]);
        }
        long before = GC.GetAllocatedBytesForCurrentThread();
        using (var file = Load())
        {
            Assert.Equal(int.MaxValue, file["large"].Count);
            Assert.Equal([5, 6], file.Read("last").ToInt32Array());
        }
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 16);
    }

    [SkippableFact]
    public void AClosedFileIsNoLongerMapped()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "only Linux lists the mappings of a process in a file");
        SaveSample();
        var file = Load();
        file.Read("b");
        Assert.Contains(Path, File.ReadAllText("/proc/self/maps"));
        file.Dispose();
        Assert.DoesNotContain(Path, File.ReadAllText("/proc/self/maps"));
        Assert.Throws<ObjectDisposedException>(() => file.Read("b"));
        // Nor does a file that is refused stay open.
        File.WriteAllBytes(Path, [.. File.ReadAllBytes(Path), 0]);
        Assert.Throws<FileFormatException>(Load);
        Assert.DoesNotContain(Path, File.ReadAllText("/proc/self/maps"));
        Assert.DoesNotContain(Directory.GetFiles("/proc/self/fd"), descriptor => new FileInfo(descriptor).LinkTarget == Path);
    }

    [Fact]
    public void AFileCanBeDeletedWhileItIsOpen()
    {
        SaveSample();
        using var file = Load();
        File.Delete(Path);
        Assert.Equal([1, 2], file.Read("b").ToInt32Array());
    }

    [Fact]
    public void AMissingTensorIsNamed()
    {
        Write("{}", []);
        using var file = Load();
        Assert.Empty(file.Entries);
        Assert.Equal($"{Path}: there is no tensor 'conv_in.weight' in it", Assert.Throws<FileFormatException>(() => file.Read("conv_in.weight")).Message);
    }

    [Fact]
    public void TooManyAxesAreRefusedOnlyWhenRead()
    {
        Write("""{"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[0,4]}}""", new byte[4]);
        using var file = Load();
        Assert.Contains("axes", Assert.Throws<FileFormatException>(() => file.Read("x")).Message);
    }

    public static TheoryData<string, int, string> Malformed => new()
    {
        { "", 0, "does not begin with '{'" },
        { " {}", 0, "does not begin with '{'" },
        { "[]", 0, "does not begin with '{'" },
        { "{", 0, "does not end with '}'" },
        { "{}\n", 0, "does not end with '}'" },
        { "{}\0", 0, "does not end with '}'" },
        { "{}{}", 0, "not valid JSON" },
        { """{"a"}""", 0, "not valid JSON" },
        { "{/**/}", 0, "not valid JSON" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},}""", 4, "not valid JSON" },
        { """{"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}}""", 4, "not valid JSON" },
        { """{"a":{"b":{"c":{"d":{}}}}}""", 0, "unknown field 'b'" },
        { """{"a\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "not valid Unicode" },
        { """{"a":1}""", 0, "is not an object" },
        { """{"a":{"dtype":"F32","shape":[1]}}""", 4, "lacks its data_offsets" },
        { """{"a":{"dtype":"F32","data_offsets":[0,4]}}""", 4, "lacks its shape" },
        { """{"a":{"shape":[1],"data_offsets":[0,4]}}""", 4, "lacks its dtype" },
        { """{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}""", 4, "unknown dtype 'F33'" },
        { """{"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}}""", 4, "dtype of tensor 'a' is not a string" },
        { """{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}""", 4, "must be a list of non-negative integers" },
        { """{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, "must be a list of non-negative integers" },
        { """{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}""", 4, "must be a list of non-negative integers" },
        { """{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}""", 4, "must be a list of non-negative integers" },
        { """{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}""", 4, "must be a list of non-negative integers" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}""", 4, "not a begin and an end" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""", 8, "not a begin and an end" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4, "not a begin and an end" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, "does not fill 4 bytes" },
        { """{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,4]}}""", 4, "does not fill 4 bytes" },
        { """{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}""", 4, "does not fill 4 bytes" },
        { """{"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807,9223372036854775807],"data_offsets":[0,4]}}""", 4, "does not fill 4 bytes" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":0}}""", 4, "unknown field 'x'" },
        { """{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "the field 'dtype' twice" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "names 'a' twice" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "names 'a' twice" },
        { """{"__metadata__":[]}""", 0, "__metadata__ is not an object" },
        { """{"__metadata__":{"k":1}}""", 0, "'k' is not a string" },
        { """{"__metadata__":{"k":"1","k":"2"}}""", 0, "__metadata__ names 'k' twice" },
        { """{"__metadata__":{},"__metadata__":{}}""", 0, "names '__metadata__' twice" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "leaves a hole" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""", 12, "leaves a hole" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "overlaps" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}""", 8, "overlaps" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 3, "cut short" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 5, "1 bytes follow the last tensor" },
        { "{}", 1, "1 bytes follow the last tensor" },
        { "{\"x\u001b[31m\ny\":1}", 0, "not valid JSON" },
        { """{"x\u001b[31m\ny":1}""", 0, "'x?[31m?y' is not an object" },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public void AMalformedFileIsRefusedWithOneLine(string header, int dataLength, string reason)
    {
        Write(header, new byte[dataLength]);
        string message = Assert.Throws<FileFormatException>(Load).Message;
        Assert.StartsWith($"{Path}: ", message);
        Assert.Contains(reason, message);
        Assert.DoesNotContain(message, char.IsControl);
    }

    [Fact]
    public void DeepNestingIsRefusedByTheParser()
    {
        Write($"{{\"a\":{{\"dtype\":\"F32\",\"shape\":{new string('[', 1_000_000)}{new string(']', 1_000_000)}}}}}", []);
        Assert.Contains("not valid JSON", Assert.Throws<FileFormatException>(Load).Message);
    }

    [Fact]
    public void BytesThatAreNotUtf8AreRefused()
    {
        byte[] header = [.. "{\""u8, 0xC3, 0x28, .. "\":{}}"u8];
        Write(header, []);
        Assert.Contains("UTF-8", Assert.Throws<FileFormatException>(Load).Message);
    }

    [Theory]
    [InlineData(100_000_001ul)]
    [InlineData(ulong.MaxValue)]
    [InlineData(100_000_000ul)]
    public void AGreatHeaderLengthTakesNoMemory(ulong length)
    {
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        File.WriteAllBytes(Path, bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<FileFormatException>(Load);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    /// <summary>The headers that take most memory for their length: entries as short as they can be, a shape without end, nothing but names.</summary>
    [Theory]
    [InlineData("entries")]
    [InlineData("shape")]
    [InlineData("metadata")]
    public void MemoryIsAFewTimesTheLengthOfTheHeader(string kind)
    {
        const int Count = 20_000;
        string header = kind switch
        {
            "entries" => string.Join(',', Enumerable.Range(0, Count).Select(i => $$$"""
                "{{{i}}}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}
                """)),
            "shape" => $$$"""
                "a":{"dtype":"U8","shape":[0{{{string.Concat(Enumerable.Repeat(",1", Count))}}}],"data_offsets":[0,0]}
                """,
            _ => $$$"""
                "__metadata__":{{{{string.Join(',', Enumerable.Range(0, Count).Select(i => $"\"{i}\":\"\""))}}}}
                """,
        };
        Write($"{{{header}}}", []);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using (var file = Load())
            Assert.Equal(kind == "entries" ? Count : kind == "shape" ? 1 : 0, file.Entries.Count);
        long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.InRange(bytes, 0, 16 * header.Length);
    }

    [Fact]
    public void EveryTruncationIsRefused()
    {
        byte[] whole = SaveSample();
        for (int length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(Path, whole.AsSpan(0, length));
            Assert.Throws<FileFormatException>(Load);
        }
    }

    [Fact]
    public void AnyDamageIsRefusedOrHarmless()
    {
        byte[] whole = SaveSample();
        var random = new Random(1);
        int refused = 0;
        for (int trial = 0; trial < 1000; trial++)
        {
            byte[] damaged = [.. whole];
            for (int i = random.Next(1, 4); i > 0; i--)
                damaged[random.Next(8 + 220)] = (byte)random.Next(256);
            File.WriteAllBytes(Path, damaged);
            try
            {
                using var file = Load();
                foreach (var entry in file.Entries)
                    file.Read(entry.Name);
            }
            catch (FileFormatException e)
            {
                refused++;
                Assert.DoesNotContain(e.Message, char.IsControl);
            }
        }
        Assert.InRange(refused, 500, 1000);
    }

    [Theory]
    [InlineData("__metadata__", "reserved")]
    [InlineData("twice", "given to two tensors")]
    [InlineData("half a character", "not valid Unicode")]
    public void NamesThatCannotBeWrittenAreRefused(string name, string reason)
    {
        var x = Tensor.From([1f], [1]);
        if (name == "half a character")
            name = "\ud800";
        var error = Assert.Throws<ArgumentException>(() => Safetensors.Save(Path, [("twice", x), (name, x)]));
        Assert.Contains(reason, error.Message);
        Assert.False(File.Exists(Path));
    }

    [Fact]
    public void AFolderIsNoFile() => Assert.Throws<FileFormatException>(() => Safetensors.Load(_folder.Path));

    [Fact]
    public void AMissingFileIsNamed() =>
        Assert.Contains("none.safetensors", Assert.Throws<FileNotFoundException>(() => Safetensors.Load(_folder["none.safetensors"])).Message);

    private string Path => _folder["test.safetensors"];

    private SafetensorsFile Load() => Safetensors.Load(Path);

    private byte[] SaveSample()
    {
        Safetensors.Save(Path,
        [
            ("a.weight", Tensor.From([1f, 2f, 3f, 4f, 5f, 6f], [2, 3])),
            ("b", Tensor.From([1, 2], [2])),
            ("c", Tensor.From([0.5], [], Device.Reference)),
        ],
        new Dictionary<string, string> { ["key"] = "value" });
        return File.ReadAllBytes(Path);
    }

    private void Write(string header, byte[] data) => Write(Encoding.UTF8.GetBytes(header), data);

    private void Write(byte[] header, byte[] data)
    {
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        File.WriteAllBytes(Path, [.. length, .. header, .. data]);
    }

    private static int[] Bits(float[] values) => Array.ConvertAll(values, BitConverter.SingleToInt32Bits);
}
