// The part of Apple's Foundation that ggml-metal names: declarations written from the public documentation of the API.
// macOS has the implementation.

#pragma once

#include <Block.h>
#include <assert.h>
#include <dispatch/dispatch.h>
#include <inttypes.h>
#include <mach/mach.h>
#include <objc/NSObject.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

@class NSArray<ObjectType>, NSError, NSString;

typedef struct {
    NSUInteger location;
    NSUInteger length;
} NSRange;

static inline NSRange NSMakeRange(NSUInteger location, NSUInteger length) {
    return (NSRange){location, length};
}

// Of `for (… in …)`; the compiler knows the names of the fields, too.
typedef struct {
    unsigned long state;
    id __unsafe_unretained *itemsPtr;
    unsigned long *mutationsPtr;
    unsigned long extra[5];
} NSFastEnumerationState;

@protocol NSFastEnumeration
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState *)state
                                  objects:(id __unsafe_unretained[])buffer
                                    count:(NSUInteger)count;
@end

@protocol NSCopying
@end

@interface NSCharacterSet : NSObject
@property(class, readonly) NSCharacterSet *whitespaceCharacterSet;
@end

typedef NSUInteger NSStringEncoding;
enum : NSStringEncoding { NSUTF8StringEncoding = 4 };

@interface NSString : NSObject <NSCopying>
@property(readonly) const char *UTF8String;
@property(readonly) NSUInteger length;
@property(readonly) NSString *stringByStandardizingPath;
@property(readonly) NSString *stringByDeletingLastPathComponent;
+ (instancetype)stringWithUTF8String:(const char *)text;
+ (instancetype)stringWithCString:(const char *)text encoding:(NSStringEncoding)encoding;
+ (instancetype)stringWithFormat:(NSString *)format, ...;
+ (instancetype)stringWithContentsOfFile:(NSString *)path encoding:(NSStringEncoding)encoding error:(NSError **)error;
+ (NSString *)pathWithComponents:(NSArray<NSString *> *)components;
- (instancetype)initWithBytes:(const void *)bytes length:(NSUInteger)length encoding:(NSStringEncoding)encoding;
- (BOOL)isEqualToString:(NSString *)other;
- (BOOL)containsString:(NSString *)other;
- (NSString *)substringToIndex:(NSUInteger)index;
- (NSString *)stringByAppendingPathComponent:(NSString *)component;
- (NSString *)stringByAppendingPathExtension:(NSString *)extension;
- (NSString *)stringByTrimmingCharactersInSet:(NSCharacterSet *)set;
- (NSArray<NSString *> *)componentsSeparatedByString:(NSString *)separator;
@end

@interface NSMutableString : NSString
- (void)appendString:(NSString *)text;
@end

@interface NSNumber : NSObject <NSCopying>
@property(readonly) int intValue;
+ (NSNumber *)numberWithInt:(int)value;
@end

@interface NSArray<ObjectType> : NSObject <NSFastEnumeration>
@property(readonly) NSUInteger count;
+ (instancetype)arrayWithObjects:(const ObjectType _Nonnull[])objects count:(NSUInteger)count;
- (ObjectType)objectAtIndexedSubscript:(NSUInteger)index;
@end

@interface NSMutableArray<ObjectType> : NSArray <ObjectType>
- (void)addObject:(ObjectType)object;
- (void)removeObject:(ObjectType)object;
- (void)removeAllObjects;
@end

@interface NSDictionary<KeyType, ObjectType> : NSObject
+ (instancetype)dictionary;
+ (instancetype)dictionaryWithObjects:(const ObjectType _Nonnull[])objects
                              forKeys:(const KeyType<NSCopying> _Nonnull[])keys
                                count:(NSUInteger)count;
- (ObjectType)objectForKey:(KeyType)key;
- (ObjectType)objectForKeyedSubscript:(KeyType)key;
@end

@interface NSMutableDictionary<KeyType, ObjectType> : NSDictionary <KeyType, ObjectType>
- (void)setObject:(ObjectType)object forKey:(KeyType<NSCopying>)key;
- (void)setObject:(ObjectType)object forKeyedSubscript:(KeyType<NSCopying>)key;
@end

@interface NSSet<ObjectType> : NSObject
+ (instancetype)set;
+ (instancetype)setWithArray:(NSArray<ObjectType> *)array;
- (BOOL)containsObject:(ObjectType)object;
@end

@interface NSMutableSet<ObjectType> : NSSet <ObjectType>
- (void)addObject:(ObjectType)object;
@end

extern NSString *const NSLocalizedDescriptionKey;

@interface NSError : NSObject
@property(readonly) NSString *localizedDescription;
+ (instancetype)errorWithDomain:(NSString *)domain code:(NSInteger)code userInfo:(NSDictionary *)information;
@end

@interface NSLock : NSObject
- (void)lock;
- (void)unlock;
@end

@interface NSURL : NSObject
+ (NSURL *)fileURLWithPath:(NSString *)path;
@end

@interface NSScanner : NSObject
@property(copy) NSCharacterSet *charactersToBeSkipped;
+ (instancetype)scannerWithString:(NSString *)text;
- (BOOL)scanString:(NSString *)text intoString:(NSString **)result;
- (BOOL)scanUpToString:(NSString *)text intoString:(NSString **)result;
@end

extern NSString *const NSFileType;
extern NSString *const NSFileTypeSymbolicLink;

@interface NSFileManager : NSObject
@property(class, readonly) NSFileManager *defaultManager;
- (BOOL)isReadableFileAtPath:(NSString *)path;
- (NSDictionary<NSString *, id> *)attributesOfItemAtPath:(NSString *)path error:(NSError **)error;
- (NSString *)destinationOfSymbolicLinkAtPath:(NSString *)path error:(NSError **)error;
@end

@interface NSBundle : NSObject
+ (NSBundle *)bundleForClass:(Class)kind;
- (NSString *)pathForResource:(NSString *)name ofType:(NSString *)extension;
@end

@interface NSProcessInfo : NSObject
@property(class, readonly) NSProcessInfo *processInfo;
@property(readonly) NSArray<NSString *> *arguments;
@property(readonly) NSDictionary<NSString *, NSString *> *environment;
@end
